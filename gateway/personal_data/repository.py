"""Variables and notes in PostgreSQL."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.personal_data.use_cases import Content, File
from mesh.stores.database import Database

# The notification's own payload, which a requeue replaces: what a dead letter keeps of its last try says no more about the person.
_CONTENTS = """
SELECT n.id, n.payload, COALESCE(d.note, '') AS note FROM notifications n
LEFT JOIN dead_letters d ON d.notification_id = n.id
WHERE n.id = ANY($1::uuid[])
"""


class ContentRepository:
    """Implements `gateway.personal_data.use_cases.ContentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def contents(self, identifiers: Sequence[UUID]) -> Mapping[UUID, Content]:
        """Of those of the notifications that have any."""
        rows = await self._database.fetch(_CONTENTS, list(identifiers)) if identifiers else []
        return {UUID(int=row["id"].int): _content(row["payload"], row["note"]) for row in rows}


def _content(payload: bytes | None, note: str) -> Content:
    try:
        delivery = Delivery.FromString(payload or b"")
    except DecodeError:
        return Content(review_note=note)
    files = [File(*(getattr(each, name) for name in File._fields)) for each in delivery.attachments]
    return Content(MessageToDict(delivery.variables), note, delivery.email, files)
