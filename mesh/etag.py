"""Entity tags (AIP-154, RFC 9110 section 8.8.3): a word for one state of an object, so that a change hits what its maker saw."""

import hashlib
from base64 import urlsafe_b64encode

from mesh.errors import Aborted


class EtagMismatch(Aborted):
    """The object has changed since the caller read it."""

    reason = "ETAG_MISMATCH"

    def __init__(self) -> None:
        super().__init__("the object has changed since you read it: read it again, and repeat your change on what it is now")


def etag_of(*parts: object) -> str:
    """The tag of a state: 16 characters, the same in every process. `parts` must have a stable `repr`."""
    return urlsafe_b64encode(hashlib.sha256(repr(parts).encode()).digest()[:12]).decode()


def check_etag(wanted: str, present: str, *, done: bool = False) -> None:
    """Raises EtagMismatch when the caller wants a state that is not the present one; an empty `wanted` takes any.

    `done` says that what is asked for is so already: by the caller, most often, whose first try was carried out and whose answer was lost,
    and who overwrites no one's change (RFC 9110, section 13.1.1).
    """
    if wanted and wanted != present and not done:
        raise EtagMismatch
