"""Messages of Amazon SNS: who has signed them (its documentation, "Verifying the signatures of Amazon SNS messages")."""

import base64
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from gateway.facts.events import BadSignature, text
from mesh.errors import InvalidArgument

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES = {"1": SHA1, "2": SHA256}
# The region of a topic is the region of what signs for it. A pattern of host names would do for a bucket called "sns", too:
# sns.s3.amazonaws.com.
TOPIC = re.compile(r"arn:aws(?P<partition>-[a-z-]{2,20})?:sns:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d{1,2}):\d{12}:[\w-]{1,256}(?:\.fifo)?")
_KEPT_S = 3600.0
_MOST_KEPT = 16

Fetch = Callable[[str], Awaitable[bytes]]


class SnsMessages:
    """Checks messages of the `topics` that were configured. `fetch` gets a URL, and raises Unavailable."""

    def __init__(self, topics: Collection[str], fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics = frozenset(topics)
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, tuple[float, RSAPublicKey]] = {}

    async def check(self, message: Mapping[str, Any]) -> str:
        """The type of a message that is signed by Amazon and of one of the topics. Raises BadSignature or InvalidArgument."""
        kind = text(message, "Type")
        if kind not in _SIGNED:
            raise InvalidArgument.of("Type", f"must be one of {', '.join(_SIGNED)}")
        if text(message, "TopicArn") not in self._topics:
            raise BadSignature("TopicArn: is not among CLARION_SES_TOPICS")
        hashing = _HASHES.get(text(message, "SignatureVersion"))
        if hashing is None:
            raise BadSignature("SignatureVersion: must be 1 or 2")
        key = await self._key_of(text(message, "SigningCertURL"), _host_of(text(message, "TopicArn")))
        content = "".join(f"{name}\n{text(message, name)}\n" for name in _SIGNED[kind] if text(message, name))
        try:
            key.verify(
                base64.b64decode(text(message, "Signature"), validate=True), content.encode("utf-8", "replace"), PKCS1v15(), hashing()
            )
        except (ValueError, InvalidSignature):
            raise BadSignature("Signature: does not fit the message") from None
        return kind

    async def confirm(self, message: Mapping[str, Any]) -> None:
        """Confirms a subscription. Raises InvalidArgument for a URL that is not Amazon's, or Unavailable."""
        url = text(message, "SubscribeURL")
        host = _host_of(text(message, "TopicArn"))
        if not _is_at(host, url):
            raise InvalidArgument.of("SubscribeURL", f"must be an https:// address of {host}")
        await self._fetch(url)

    async def _key_of(self, url: str, host: str) -> RSAPublicKey:
        # with a question in it, the address might be that of an answer of SNS in which someone's own words stand, such as a certificate
        if not _is_at(host, url) or not urlsplit(url).path.endswith(".pem") or "?" in url or "#" in url:
            raise BadSignature(f"SigningCertURL: must be an https:// address of a .pem file of {host}")
        kept = self._keys.get(url)
        if kept is not None and self._clock() - kept[0] < _KEPT_S:
            return kept[1]
        try:
            key = load_pem_x509_certificate(await self._fetch(url)).public_key()
        except ValueError:
            raise BadSignature("SigningCertURL: leads to no certificate") from None
        if not isinstance(key, RSAPublicKey):
            raise BadSignature("SigningCertURL: leads to a certificate without an RSA key")
        if len(self._keys) >= _MOST_KEPT:
            self._keys.clear()
        self._keys[url] = (self._clock(), key)
        return key


def _host_of(topic: str) -> str:
    found = TOPIC.fullmatch(topic)
    assert found is not None, "settings take such topics only"
    return f"sns.{found['region']}.amazonaws.com{'.cn' if found['partition'] == '-cn' else ''}"


def _is_at(host: str, url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and port in {None, 443} and url.isascii() and url.isprintable()
    return parts.scheme == "https" and plain and parts.hostname == host
