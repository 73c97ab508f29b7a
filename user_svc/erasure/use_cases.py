"""The rules of exporting what is held about a person, and of erasing it.

Repeating a step, or asking about a person who is gone, changes nothing and is no error.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mesh import ids
from user_svc.addresses.models import PersonAddress
from user_svc.audit.models import AuditKind, KeepEvent, NewEvent, person
from user_svc.devices.models import Device
from user_svc.devices.use_cases import DeviceStore
from user_svc.preferences.models import Preferences
from user_svc.preferences.use_cases import PreferenceStore
from user_svc.sign_in.models import Identity
from user_svc.suppressions.models import Suppression
from user_svc.suppressions.use_cases import SuppressionStore
from user_svc.users.errors import AdministratorProtected, UserNotFound
from user_svc.users.models import User
from user_svc.users.use_cases import UserStore, existing_id


class ErasureStore(Protocol):
    """Where people and their sessions are kept."""

    async def find_protected(self, project: str, user_id: str) -> bool | None:
        """Whether only those may change the person who may change administrators; None when the project has no such person."""

    async def revoke(self, user_id: str) -> None:
        """Ends all sessions of the person and revokes what they made."""

    async def erase(self, user_id: str, asked_by: str) -> None:
        """Removes the person, all that belongs to them, and their addresses from the suppression list, in one transaction."""


class Identities(Protocol):
    """Where it is kept who is who at issuers."""

    async def list_of(self, project: str, user_id: str) -> Sequence[Identity]: ...


class FurtherAddresses(Protocol):
    """Where addresses are kept."""

    async def list_of(self, project: str, user_id: str) -> Sequence[PersonAddress] | None:
        """The primary one first; None when there is no such person."""

    async def keys_of(self, user_id: str) -> Sequence[str]:
        """The primary one first, in lower case; without those that the person has claimed and another person has."""


class Held(NamedTuple):
    """All that is held about a person here. The primary one is none of `addresses`; the first of `suppressions` are about it."""

    user: User
    addresses: Sequence[PersonAddress]
    preferences: Preferences
    devices: Sequence[Device]
    suppressions: Sequence[Suppression]
    identities: Sequence[Identity]


class PersonalData:
    """Reads what is held; serves the gateway, which has checked who asks."""

    def __init__(
        self,
        users: UserStore,
        preferences: PreferenceStore,
        devices: DeviceStore,
        suppressions: SuppressionStore,
        identities: Identities,
        *,
        addresses: FurtherAddresses,
        audit: KeepEvent,
    ) -> None:
        self._identities = identities
        self._audit = audit
        self._users = users
        self._addresses = addresses
        self._preferences = preferences
        self._devices = devices
        self._suppressions = suppressions

    async def held(self, project: str, user_id: str, asked_by: str, audit_id: str = "") -> Held:
        """Who got it is on record before they get it, once for each `audit_id`. Raises UserNotFound."""
        known_form = existing_id(user_id)
        user = await self._users.find(project, known_form)
        preferences = await self._preferences.find(project, known_form)
        devices = await self._devices.list_newest_first(project, known_form, removed=True)
        if user is None or preferences is None or devices is None:
            raise UserNotFound
        origin = ids.canonical(audit_id)
        await self._audit(NewEvent(project, AuditKind.DATA_EXPORTED, person(known_form), asked_by or None, origin=origin))
        further = [one for one in await self._addresses.list_of(project, known_form) or () if not one.primary]
        known = await self._addresses.keys_of(known_form)
        suppressions = [entry for address in known for entry in await self._suppressions.of_address(project, address)]
        return Held(user, further, preferences, devices, suppressions, await self._identities.list_of(project, known_form))


class Erasure:
    """Serves the gateway's saga; never a person."""

    def __init__(self, store: ErasureStore) -> None:
        self._store = store

    async def check_erasable(self, project: str, user_id: str, *, administrators: bool) -> None:
        """Raises UserNotFound, or AdministratorProtected where who asks may not erase administrators."""
        known_form = ids.canonical(user_id)
        protected = None if known_form is None else await self._store.find_protected(project, known_form)
        if protected is None:
            raise UserNotFound
        if protected and not administrators:
            raise AdministratorProtected

    async def revoke_credentials(self, user_id: str) -> None:
        """Ends the person's sessions, access tokens and the API keys that they made."""
        known_form = ids.canonical(user_id)
        if known_form is not None:
            await self._store.revoke(known_form)

    async def erase_user(self, user_id: str, asked_by: str) -> None:
        """Removes every trace of the person."""
        known_form = ids.canonical(user_id)
        if known_form is not None:
            await self._store.erase(known_form, asked_by)
