"""What a person is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mesh.etag import etag_of


class Role(StrEnum):
    """What a person's own access token may do."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class User:
    """A person. `email` is empty for one who is reached on devices only; `external_id` is the id in the caller's own system, or empty."""

    id: str
    email: str
    name: str
    locale: str
    timezone: str
    role: Role
    create_time: datetime
    update_time: datetime
    external_id: str = ""

    @property
    def etag(self) -> str:
        """Stands for this state."""
        shown = (self.email, self.name, self.locale, self.timezone, self.role.value, self.external_id)
        return etag_of(self.id, *shown, self.update_time.timestamp())


@dataclass(frozen=True, slots=True)
class UserChanges:
    """New values of a person; None leaves the old one, an empty text asks for the default."""

    email: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    external_id: str | None = None
