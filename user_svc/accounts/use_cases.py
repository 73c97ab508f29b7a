"""The rules of proof by mail. A link works once and for a short time; who asks for one learns nothing about who is here."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from naming.email_address import email_key
from user_svc.access import check_reach
from user_svc.accounts.errors import AddressMissing, ResetLinkInvalid, TooManyMails, VerificationLinkInvalid
from user_svc.accounts.models import (
    LIFE,
    PAGE_OF,
    AccountMail,
    AccountSecret,
    AddressLink,
    AddressMail,
    Asked,
    NewLink,
    OpenLink,
    Purpose,
)
from user_svc.accounts.tokens import LinkTokens, hash_of
from user_svc.users.errors import UserNotFound
from user_svc.users.use_cases import existing_id

WRITE_SCOPE = "users:write"
_HOUR_S = 3600.0
# What who only looks at such a mail is shown in place of what opens the account.
_MASKED = "\u2022" * 6


class LinkStore(Protocol):
    """Where links are kept. Its clock says how old they are."""

    async def ask_for_reset(self, project: str, email_key: str, link: NewLink, life: timedelta) -> None:
        """Keeps a link for who has the address and a password, at most MOST_AN_HOUR an hour; does as much, without a link, for no one."""

    async def ask_for_verification(self, project: str, user_id: str, link: NewLink, life: timedelta) -> Asked:
        """Keeps a link for a person whose address is not verified, at most MOST_AN_HOUR an hour."""

    async def claim(self) -> Sequence[AccountMail]:
        """Links whose mails are to be sent, the oldest first, each for one caller and a minute."""

    async def settle(self, link_ids: Collection[str]) -> None:
        """Nothing is to be sent for these any more."""

    async def find_open(self, sha256: bytes, purpose: Purpose) -> OpenLink | None: ...

    async def newest_open(self, wanted: Collection[tuple[str, Purpose]]) -> Mapping[tuple[str, Purpose], tuple[OpenLink, str]]:
        """The newest link that works of each person and purpose that has one, with the brand of their project."""

    async def address_link(self, user_id: str, notification_id: str | None, *, bind: bool) -> AddressLink | None:
        """The link that a mail to an address which is not the primary one holds; `bind` makes it that mail's for good."""

    async def reset_password(self, link: OpenLink, password_hash: str) -> bool:
        """Uses up the person's links of this kind, replaces the hash, ends all sessions. False, and nothing, when it works no more."""

    async def verify_address(self, sha256: bytes) -> bool:
        """Uses up a link and marks the address as verified. False when there is none that works."""


# Checks and hashes a new password: field, password, words that a guesser tries first. Raises InvalidArgument or TooManyLogins.
HashNew = Callable[[str, str, Collection[str]], Awaitable[str]]
# Uses up a link by the hash of its token, and marks its address, a further one, as verified. False when there is none that works.
ProveAddress = Callable[[bytes], Awaitable[bool]]


class Accounts:
    """Makes links and takes them back."""

    def __init__(
        self, store: LinkStore, tokens: LinkTokens, *, hash_new: HashNew, prove_address: ProveAddress, console_url: str = ""
    ) -> None:
        self._store = store
        self._prove_address = prove_address
        self._tokens = tokens
        self._hash_new = hash_new
        self._console_url = console_url

    async def request_password_reset(self, project: str, email: str) -> None:
        """The same for an address that is no one's."""
        await self._store.ask_for_reset(project, email_key(email) or "", self.new_link(), LIFE[Purpose.PASSWORD_RESET])

    async def reset_password(self, token: str, new_password: str) -> None:
        """Raises ResetLinkInvalid, InvalidArgument for the password, or TooManyLogins."""
        link = await self._store.find_open(hash_of(token), Purpose.PASSWORD_RESET)
        if link is None:
            raise ResetLinkInvalid
        password_hash = await self._hash_new("new_password", new_password, link.known_words)
        if not await self._store.reset_password(link, password_hash):
            raise ResetLinkInvalid  # it was used at the same time

    async def request_address_verification(self, caller: Caller, user_id: str) -> None:
        """Raises NotOwner, UserNotFound, AddressMissing or TooManyMails."""
        check_reach(caller, user_id, WRITE_SCOPE)
        life = LIFE[Purpose.ADDRESS_VERIFICATION]
        asked = await self._store.ask_for_verification(caller.project, existing_id(user_id), self.new_link(), life)
        if asked is Asked.NO_PERSON:
            raise UserNotFound
        if asked is Asked.NO_ADDRESS:
            raise AddressMissing
        if asked is Asked.TOO_MANY:
            raise TooManyMails(_HOUR_S)

    async def verify_address(self, token: str) -> None:
        """The primary one, or another one. Raises VerificationLinkInvalid, or AddressTaken."""
        sha256 = hash_of(token)
        if not await self._store.verify_address(sha256) and not await self._prove_address(sha256):
            raise VerificationLinkInvalid

    async def claim_mails(self) -> Sequence[AccountMail]:
        """What the gateway is to send."""
        return await self._store.claim()

    async def settle_mails(self, mail_ids: Collection[str]) -> None:
        """Unknown ids are no error."""
        known_form = {canonical for mail_id in mail_ids if (canonical := ids.canonical(mail_id)) is not None}
        if known_form:
            await self._store.settle(known_form)

    async def secrets_of(self, wanted: Collection[tuple[str, Purpose]], *, masked: bool) -> Mapping[tuple[str, Purpose], AccountSecret]:
        """What mails to these people hold; none where no link works any more. `masked` for who does not send the mail."""
        found = await self._store.newest_open(wanted) if wanted else {}
        secrets = {key: self._secret(key[1], link, brand, masked=masked) for key, (link, brand) in found.items()}
        return {key: secret for key, secret in secrets.items() if secret is not None}

    async def new_address_mail(self, user_id: str, notification_id: str | None, *, masked: bool) -> AddressMail | None:
        """What such a mail holds, and where it goes; None where no link works any more. `masked` for who does not send the mail."""
        known_form = ids.canonical(user_id)
        if known_form is None:
            return None
        found = await self._store.address_link(known_form, notification_id, bind=not masked and notification_id is not None)
        secret = None if found is None else self._secret(Purpose.NEW_ADDRESS, found.link, found.brand, masked=masked)
        return None if found is None or secret is None else AddressMail(found.address, secret)

    def _secret(self, purpose: Purpose, link: OpenLink, brand: str, *, masked: bool) -> AccountSecret | None:
        token = self._tokens.of(link.id, link.sha256)
        if token is None:
            return None
        shown = _MASKED if masked else token
        page = f"{self._console_url}{PAGE_OF[purpose]}#{shown}" if self._console_url else ""
        return AccountSecret(page, shown, brand)

    def new_link(self) -> NewLink:
        """One that is kept nowhere yet."""
        link_id = ids.new_id()
        return NewLink(link_id, hash_of(self._tokens.new(link_id)))
