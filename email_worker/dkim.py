"""Signs mails by DKIM (RFC 6376, RSA with SHA-256, canonicalization relaxed/relaxed).

`dkimpy` does the same and computes RSA in Python, which costs several times what everything else about a mail does. Here the one shape of
mail that `email_worker/message.py` writes is signed with `cryptography`; tests verify the signatures with dkimpy.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

# Headers that a mail has and that no one may change on its way; the last two because RFC 8058 asks for it.
_SIGNED = (
    "from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type", "content-transfer-encoding",
    "auto-submitted", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip
# Named once more than they are there, so that none can be added: the first that a mail program finds may be the added one.
_ONLY_ONCE = frozenset({"from", "to", "subject", "date", "reply-to"})
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_SPACES = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Signer:
    """A domain's key under its selector."""

    domain: str
    selector: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def from_der(cls, domain: str, selector: str, der: bytes) -> "Signer":
        """From PKCS #8. Raises ValueError."""
        return cls(domain, selector, _rsa(load_der_private_key(der, password=None)))

    @classmethod
    def from_pem(cls, domain: str, selector: str, pem: bytes) -> "Signer":
        """From a PEM file's content. Raises ValueError."""
        return cls(domain, selector, _rsa(load_pem_private_key(pem, password=None)))

    def sign(self, message: bytes) -> bytes:
        """The mail with its DKIM-Signature, which stands first. `message` has CRLF as line ends and no such header."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = _fields(head)
        names = [name for name in _SIGNED if name in fields]
        names += [name for name in _SIGNED if name in _ONLY_ONCE]
        body_hash = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
        header = (
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={self.domain};\r\n"
            f"\ts={self.selector}; bh={body_hash};\r\n"
            f"\th={_folded(names)};\r\n"
            "\tb="
        ).encode()
        seen: set[str] = set()
        signed = b""
        for name in names:
            # a header that is named once more than it is there counts as an empty one
            if name in fields and name not in seen:
                signed += fields[name] + b"\r\n"
            seen.add(name)
        signed += _relaxed_field(header)
        signature = base64.b64encode(self.key.sign(signed, PKCS1v15(), SHA256())).decode()
        return header + _lines(signature).encode() + b"\r\n" + message


def _rsa(key: object) -> RSAPrivateKey:
    if not isinstance(key, RSAPrivateKey) or key.key_size < 1024:
        raise ValueError("the DKIM key must be RSA with 1024 bits or more")
    return key


def _fields(head: bytes) -> dict[str, bytes]:
    """The fields by name, each as it is signed."""
    lines = _FOLD.sub(b"", head).split(b"\r\n")
    return {line.partition(b":")[0].decode("ascii").strip().lower(): _relaxed_field(line) for line in lines}


def _relaxed_field(line: bytes) -> bytes:
    """RFC 6376, section 3.4.2."""
    name, _, value = _FOLD.sub(b"", line).partition(b":")
    return name.strip().lower() + b":" + _SPACES.sub(b" ", value).strip(b" \t")


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376, section 3.4.4. By lines: a pattern for what ends a line, or the body, tries each place of a long run anew."""
    lines = [_SPACES.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _folded(names: list[str]) -> str:
    lines, line = [], ""
    for name in names:
        if line and len(line) + len(name) > 68:
            lines.append(line)
            line = ""
        line += f"{':' if line or lines else ''}{name}"
    return "\r\n\t ".join([*lines, line])


def _lines(signature: str) -> str:
    return "\r\n\t ".join(signature[at : at + 72] for at in range(0, len(signature), 72))
