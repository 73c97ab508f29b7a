"""What a role is."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mesh.etag import etag_of

MOST_ROLES = 100
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class OperatorRole:
    """A named set of scopes, in order. `user_ids` are the first MOST_SHOWN people who have it."""

    id: str
    description: str
    scopes: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    user_ids: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """Stands for what a change of the role changes, and not for who has it."""
        return etag_of(self.id, self.description, *self.scopes, self.update_time.timestamp())


class RoleChanges(NamedTuple):
    """New values of a role; None leaves the old one."""

    description: str | None = None
    scopes: tuple[str, ...] | None = None
