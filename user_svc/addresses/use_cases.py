"""The rules about a person's addresses. One that is not verified is asked about by mail, and is used for nothing else."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mesh.context import Caller
from naming.email_address import check_email, email_key
from user_svc.access import check_reach
from user_svc.accounts.models import NewLink
from user_svc.addresses.errors import AddressNotFound
from user_svc.addresses.models import PersonAddress, Wanted
from user_svc.users.errors import UserNotFound
from user_svc.users.models import UserChanges
from user_svc.users.use_cases import existing_id


class AddressStore(Protocol):
    """Where addresses are kept. People of another project are as if they did not exist."""

    async def list_of(self, project: str, user_id: str) -> Sequence[PersonAddress] | None:
        """The primary one first; None when there is no such person."""

    async def add(self, project: str, user_id: str, wanted: Wanted, link: NewLink) -> PersonAddress | None:
        """Keeps it with a link that is to be mailed; of one that is verified there is none. None when there is no such person.

        Raises AddressIsPrimary, TooManyAddresses, TooManyMails or, with an open refusal, EmailTaken.
        """

    async def delete(self, project: str, user_id: str, address_key: str) -> bool:
        """False when the person has no such address beside the primary one. Raises AddressIsPrimary."""


class AddressRules(Protocol):
    """Who may give whom an address."""

    async def check_change(self, caller: Caller, user_id: str, changes: UserChanges) -> None:
        """Raises PasswordNeeded, ScopeMissing, AdministratorProtected or AccountAddressProtected."""


class Addresses:
    """Adds, lists and removes a person's addresses."""

    def __init__(self, store: AddressStore, rules: AddressRules, *, new_link: Callable[[], NewLink]) -> None:
        self._store = store
        self._rules = rules
        self._new_link = new_link

    async def create_address(self, caller: Caller, user_id: str, address: str, *, primary: bool) -> PersonAddress:
        """Raises what the two stores raise, UserNotFound, NotOwner or InvalidArgument."""
        check_reach(caller, user_id, "users:write")
        checked = check_email("address", address)
        await self._rules.check_change(caller, user_id, UserChanges(email=checked if primary else None))
        return await self._add(caller.project, user_id, Wanted(checked, primary, caller.has("users:write")))

    async def announce_primary(self, project: str, user_id: str, address: str) -> None:
        """For a person who has proven who they are: it takes the primary one's place once it is verified.

        Raises what `create_address` does, but does not say whether the address is another's.
        """
        await self._add(project, user_id, Wanted(check_email("new_email", address), primary=True, open_refusal=False))

    async def _add(self, project: str, user_id: str, wanted: Wanted) -> PersonAddress:
        added = await self._store.add(project, existing_id(user_id), wanted, self._new_link())
        if added is None:
            raise UserNotFound
        return added

    async def list_addresses(self, caller: Caller, user_id: str) -> Sequence[PersonAddress]:
        """Raises UserNotFound or NotOwner."""
        check_reach(caller, user_id, "users:read")
        found = await self._store.list_of(caller.project, existing_id(user_id))
        if found is None:
            raise UserNotFound
        return found

    async def delete_address(self, caller: Caller, user_id: str, address: str) -> None:
        """Raises AddressNotFound, AddressIsPrimary, UserNotFound, NotOwner or AdministratorProtected."""
        check_reach(caller, user_id, "users:write")
        await self._rules.check_change(caller, user_id, UserChanges())
        key = email_key(address)
        if key is None or not await self._store.delete(caller.project, existing_id(user_id), key):
            raise AddressNotFound
