"""The rules of erasing a person. Repeating a step, or asking about a person who is gone, changes nothing and is no error."""

from typing import Protocol

from mesh import ids
from user_svc.users.errors import AdministratorProtected, UserNotFound
from user_svc.users.models import Role


class ErasureStore(Protocol):
    """Where people and their sessions are kept."""

    async def find_role(self, project: str, user_id: str) -> Role | None:
        """The person's role; None when the project has no such person."""

    async def revoke(self, user_id: str) -> None:
        """Ends all sessions of the person and revokes what they made."""

    async def erase(self, user_id: str) -> None:
        """Removes the person, all that belongs to them, and their address from the suppression list, in one transaction."""


class Erasure:
    """Serves the gateway's saga; never a person."""

    def __init__(self, store: ErasureStore) -> None:
        self._store = store

    async def check_erasable(self, project: str, user_id: str, *, administrators: bool) -> None:
        """Raises UserNotFound, or AdministratorProtected where who asks may not erase administrators."""
        known_form = ids.canonical(user_id)
        role = None if known_form is None else await self._store.find_role(project, known_form)
        if role is None:
            raise UserNotFound
        if role is Role.ADMINISTRATOR and not administrators:
            raise AdministratorProtected

    async def revoke_credentials(self, user_id: str) -> None:
        """Ends the person's sessions, access tokens and the API keys that they made."""
        known_form = ids.canonical(user_id)
        if known_form is not None:
            await self._store.revoke(known_form)

    async def erase_user(self, user_id: str) -> None:
        """Removes every trace of the person."""
        known_form = ids.canonical(user_id)
        if known_form is not None:
            await self._store.erase(known_form)
