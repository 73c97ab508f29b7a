"""The owner rule: a person's own token reaches that person's objects, and no others, however well their ids are guessed."""

from mesh import ids
from mesh.context import Caller
from mesh.errors import PermissionDenied


class NotOwner(PermissionDenied):
    """The object belongs to another person, or would if it existed."""

    reason = "NOT_OWNER"

    def __init__(self) -> None:
        super().__init__("this token reaches its own person's objects only")


def check_reach(caller: Caller, user_id: str, scope: str) -> None:
    """Raises NotOwner unless the caller holds `scope` or is that person. Before anything is read, so that nothing is revealed."""
    if not caller.has(scope) and not is_self(caller, user_id):
        raise NotOwner


def is_self(caller: Caller, user_id: str) -> bool:
    """Whether the id, in whichever case it is written, is that of the person whose token it is."""
    return caller.user_id is not None and caller.user_id == ids.canonical(user_id)
