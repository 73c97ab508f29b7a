"""Mails about accounts among what is to be sent: what opens the account is put in at delivery, for the worker that sends the mail only."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from naming.account_mails import NEW_ADDRESS
from user_svc.accounts.models import PURPOSE_OF, AccountSecret, AddressMail, Purpose
from user_svc.recipients.models import Contact, Decision, Query, Recipient, Verdict

# The rules of a mail whose link was used, is too old, or was for another address; and of one that a reviewer would send elsewhere.
OVER, ELSEWHERE = "account_link:over", "account_link:elsewhere"


class Secrets(Protocol):
    """What such mails hold."""

    async def secrets_of(self, wanted: Collection[tuple[str, Purpose]], *, masked: bool) -> Mapping[tuple[str, Purpose], AccountSecret]:
        """By person and purpose; none where no link works any more."""

    async def new_address_mail(self, user_id: str, notification_id: str | None, *, masked: bool) -> AddressMail | None:
        """What a mail to an address that is not the primary one holds, and where it goes."""


Resolve = Callable[[Sequence[Query]], Awaitable[Sequence[Recipient]]]


async def resolve_with_secrets(queries: Sequence[Query], resolve: Resolve, secrets: Secrets, *, masked: bool) -> Sequence[Recipient]:
    """The answers, of which those to mails about accounts have what such a mail holds, or are refused.

    A mail that proves another address than the primary one is asked about, and goes, there.
    """
    mails = {
        index: mail
        for index, query in enumerate(queries)
        if query.template == NEW_ADDRESS
        and not query.email
        and (mail := await secrets.new_address_mail(query.user_id, query.notification_id or None, masked=masked)) is not None
    }
    there = (
        [replace(query, email=mails[index].address) if index in mails else query for index, query in enumerate(queries)]
        if mails
        else queries
    )
    recipients = await resolve(there)
    asked = [_asked(*pair) for pair in zip(queries, recipients, strict=True)]
    if not any(asked):
        return recipients
    wanted = {key for index, key in enumerate(asked) if key is not None and index not in mails}
    found = await secrets.secrets_of(wanted, masked=masked) if wanted else {}
    answers: list[Recipient] = []
    for index, (query, recipient, key) in enumerate(zip(queries, recipients, asked, strict=True)):
        secret = None if key is None else mails[index].secret if index in mails else found.get(key)
        if key is None:
            answers.append(recipient)
        elif query.email:
            answers.append(replace(recipient, verdict=Verdict(Decision.SKIP, ELSEWHERE)))
        elif secret is None:
            answers.append(replace(recipient, verdict=Verdict(Decision.SKIP, OVER)))
        else:
            answers.append(replace(recipient, account=secret))
    return answers


def _asked(query: Query, recipient: Recipient) -> tuple[str, Purpose] | None:
    purpose = PURPOSE_OF.get(query.template)
    contact: Contact | None = recipient.contact
    if purpose is None or contact is None or recipient.decision is not Decision.SEND:
        return None
    return contact.user_id, purpose
