"""What a person is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from mesh.etag import etag_of
from user_svc.users.attributes import text_of


class Role(StrEnum):
    """What a person's own access token may do."""

    MEMBER = "member"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class User:
    """A person. `email` is empty for one who is reached on devices only; `external_id` is the id in the caller's own system, or empty.

    `attributes` are what that system keeps of them for templates (`users.attributes`).
    """

    id: str
    email: str
    name: str
    locale: str
    timezone: str
    role: Role
    create_time: datetime
    update_time: datetime
    external_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    email_verified: bool = False
    # Whether an issuer at which they sign in lets them change administrators.
    administers_by_issuer: bool = False
    # Whether they have a password, or have signed in at an issuer.
    signs_in: bool = False
    # A role that is not built in, by its id; empty for none.
    assigned_role: str = ""

    @property
    def protected(self) -> bool:
        """Whether only those may change them who may change administrators."""
        return self.administers_by_issuer or bool(self.assigned_role) or self.role is Role.ADMINISTRATOR

    @property
    def etag(self) -> str:
        """Stands for this state."""
        shown = (self.email, self.name, self.locale, self.timezone, self.role.value, self.external_id, text_of(self.attributes))
        return etag_of(self.id, *shown, self.email_verified, self.assigned_role, self.update_time.timestamp())


@dataclass(frozen=True, slots=True)
class UserChanges:
    """New values of a person; None leaves the old one, an empty text asks for the default, empty attributes for none."""

    email: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    external_id: str | None = None
    attributes: Mapping[str, Any] | None = None

    @property
    def given(self) -> "UserChanges":
        """Where many are written at once: an empty value is none."""
        return UserChanges(**{each.name: getattr(self, each.name) or None for each in fields(self)})

    def are_made_on(self, user: User) -> bool:
        """Whether the person is as they want them, and there is something that they want."""
        wanted = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        return bool(wanted) and all(getattr(user, name) == value for name, value in wanted.items())
