"""Mails about accounts among what is to be sent: what opens the account is put in at delivery, for the worker that sends the mail only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from user_svc.accounts.models import PURPOSE_OF, AccountSecret, Purpose
from user_svc.recipients.models import Contact, Decision, Query, Recipient, Verdict

# The rules of a mail whose link was used, is too old, or was for another address; and of one that a reviewer would send elsewhere.
OVER, ELSEWHERE = "account_link:over", "account_link:elsewhere"


class Secrets(Protocol):
    """What such mails hold."""

    async def secrets_of(self, wanted: Collection[tuple[str, Purpose]], *, masked: bool) -> Mapping[tuple[str, Purpose], AccountSecret]:
        """By person and purpose; none where no link works any more."""


async def with_secrets(queries: Sequence[Query], recipients: Sequence[Recipient], secrets: Secrets, *, masked: bool) -> Sequence[Recipient]:
    """The answers, of which those to mails about accounts have what such a mail holds, or are refused."""
    asked = [_asked(*pair) for pair in zip(queries, recipients, strict=True)]
    wanted = {key for key in asked if key is not None}
    if not wanted:
        return recipients
    found = await secrets.secrets_of(wanted, masked=masked)
    answers: list[Recipient] = []
    for query, recipient, key in zip(queries, recipients, asked, strict=True):
        if key is None:
            answers.append(recipient)
        elif query.email:
            answers.append(replace(recipient, verdict=Verdict(Decision.SKIP, ELSEWHERE)))
        elif key not in found:
            answers.append(replace(recipient, verdict=Verdict(Decision.SKIP, OVER)))
        else:
            answers.append(replace(recipient, account=found[key]))
    return answers


def _asked(query: Query, recipient: Recipient) -> tuple[str, Purpose] | None:
    purpose = PURPOSE_OF.get(query.template)
    contact: Contact | None = recipient.contact
    if purpose is None or contact is None or recipient.decision is not Decision.SEND:
        return None
    return contact.user_id, purpose
