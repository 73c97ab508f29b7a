"""What is read: the schema's own message, which nothing on the way looks into."""

from typing import TypeAlias

from clarion.notification.v1 import sent_content_pb2

SentContent: TypeAlias = sent_content_pb2.SentContent
