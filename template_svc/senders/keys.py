"""DKIM keys (RFC 6376, 8301): made here, sealed in the database, open only in the process that signs."""

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from template_svc.senders.models import SigningKey

SEALED_FOR = "dkim-keys"
# RFC 8301 asks for 1024 bits at least and recommends 2048; a record of 4096 bits is more than many DNS providers take.
_BITS = 2048


def new_signing_key() -> SigningKey:
    """A key under a selector of its own, so that two projects can have the same domain and neither can sign for the other."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(f"clarion-{secrets.token_hex(6)}", private, base64.b64encode(public).decode())
