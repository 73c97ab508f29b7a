"""Addresses to which mail about one notification comes back (VERP): its id and a keyed digest of it, so that none can be made up.

In base32, since mail servers may change the case of a local part; 42 characters of the 64 that it may have (RFC 5321, 4.5.3.1.1).
"""

import base64
import hmac
import re
from uuid import UUID

from mesh.process.settings import Env

_DIGEST_BYTES = 10
_LENGTH = 42
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


class BounceAddresses:
    """Makes and reads the addresses of one domain under one secret."""

    def __init__(self, domain: str, secret: str) -> None:
        self.domain = domain.lower()
        self._secret = secret.encode()

    def address(self, notification_id: UUID) -> str:
        """The envelope sender of the notification's mails."""
        raw = notification_id.bytes + self._digest(notification_id.bytes)
        return f"{base64.b32encode(raw).decode().rstrip('=').lower()}@{self.domain}"

    def notification_of(self, address: str) -> UUID | None:
        """The notification that an address stands for; None for one that this secret has not made."""
        local, _, domain = address.rpartition("@")
        if domain.lower() != self.domain or len(local) != _LENGTH or not local.isascii():
            return None
        try:
            raw = base64.b32decode(local.upper() + "=" * (-_LENGTH % 8))
        except ValueError:
            return None
        identifier, digest = raw[:16], raw[16:]
        return UUID(bytes=identifier) if hmac.compare_digest(digest, self._digest(identifier)) else None

    def _digest(self, identifier: bytes) -> bytes:
        return hmac.digest(self._secret, b"bounce address\0" + identifier, "sha256")[:_DIGEST_BYTES]


def bounces_from_env(env: Env) -> tuple[str, str]:
    """Domain and secret, which the e-mail worker and the gateway share; both are empty where bounces are not taken."""
    domain, secret = env.text("CLARION_BOUNCE_DOMAIN", ""), env.secret("CLARION_BOUNCE_SECRET", "", min_length=32)
    if bool(domain) != bool(secret):
        env.problems.append("CLARION_BOUNCE_DOMAIN, CLARION_BOUNCE_SECRET: must be given together")
    if domain and not _DOMAIN.fullmatch(domain):
        env.problems.append("CLARION_BOUNCE_DOMAIN: must be a domain in small letters, such as bounces.example.com")
    return domain, secret
