"""The owner rule: a person's own token reaches that person's objects, and no others, however well their ids are guessed."""

from mesh.context import Caller
from mesh.errors import PermissionDenied


class NotOwner(PermissionDenied):
    """The object belongs to another person, or would if it existed."""

    reason = "NOT_OWNER"

    def __init__(self) -> None:
        super().__init__("this token reaches its own person's objects only")


def check_reach(caller: Caller, user_id: str, scope: str) -> None:
    """Raises NotOwner unless the caller holds `scope` or is that person. Before anything is read, so that nothing is told."""
    if not caller.has(scope) and caller.user_id != user_id:
        raise NotOwner
