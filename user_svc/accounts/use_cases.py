"""The rules of proof by mail. A link works once and for a short time; who asks for one learns nothing about who is here."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from mesh import ids
from mesh.context import Caller
from naming.email_address import email_key
from user_svc.access import check_reach
from user_svc.accounts.errors import AddressMissing, ResetLinkInvalid, TooManyMails, VerificationLinkInvalid
from user_svc.accounts.models import LIFE, PAGE_OF, AccountMail, AccountSecret, Asked, NewLink, OpenLink, Purpose
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

    async def reset_password(self, link: OpenLink, password_hash: str) -> bool:
        """Uses up the person's links of this kind, replaces the hash, ends all sessions. False, and nothing, when it works no more."""

    async def verify_address(self, sha256: bytes) -> bool:
        """Uses up a link and marks the address as verified. False when there is none that works."""


# Checks and hashes a new password: field, password, words that a guesser tries first. Raises InvalidArgument or TooManyLogins.
HashNew = Callable[[str, str, Collection[str]], Awaitable[str]]


class Accounts:
    """Makes links and takes them back."""

    def __init__(self, store: LinkStore, tokens: LinkTokens, *, hash_new: HashNew, console_url: str = "") -> None:
        self._store = store
        self._tokens = tokens
        self._hash_new = hash_new
        self._console_url = console_url

    async def request_password_reset(self, project: str, email: str) -> None:
        """The same for an address that is no one's."""
        await self._store.ask_for_reset(project, email_key(email) or "", self._new_link(), LIFE[Purpose.PASSWORD_RESET])

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
        asked = await self._store.ask_for_verification(caller.project, existing_id(user_id), self._new_link(), life)
        if asked is Asked.NO_PERSON:
            raise UserNotFound
        if asked is Asked.NO_ADDRESS:
            raise AddressMissing
        if asked is Asked.TOO_MANY:
            raise TooManyMails(_HOUR_S)

    async def verify_address(self, token: str) -> None:
        """Raises VerificationLinkInvalid."""
        if not await self._store.verify_address(hash_of(token)):
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
        secrets: dict[tuple[str, Purpose], AccountSecret] = {}
        for (user_id, purpose), (link, brand) in found.items():
            token = self._tokens.of(link.id, link.sha256)
            if token is not None:
                shown = _MASKED if masked else token
                page = f"{self._console_url}{PAGE_OF[purpose]}#{shown}" if self._console_url else ""
                secrets[user_id, purpose] = AccountSecret(page, shown, brand)
        return secrets

    def _new_link(self) -> NewLink:
        link_id = ids.new_id()
        return NewLink(link_id, hash_of(self._tokens.new(link_id)))
