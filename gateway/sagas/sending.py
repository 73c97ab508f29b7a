"""The sending saga: a notification that is cancelled or expires gives back what was reserved for it.

Accepting reserves a share of the recipient's rate limit and stores the notification, in one go and without a saga, so that it costs
nothing. Only when the notification ends unsent, a saga is opened, in the transaction that ends it: with those two steps done, the second
of them undone already, and on its way back to the first. The idempotency key is no reservation: it goes on answering what it answered.
"""

import json
from datetime import datetime
from typing import Protocol

from gateway.notifications.models import Channel
from gateway.sagas.models import Kind
from mesh.saga_state import Definition, Saga, SagaState, Step, StepState

RESERVE, ACCEPT, PUBLISH = "reserve_budget", "accept", "publish"


class Budget(Protocol):
    """The recipients' rate limit."""

    async def give_back(self, recipient: str, *, taken_at_s: float, token: str) -> None:
        """Gives back what one notification took, once per token. Raises Unavailable."""


def sending(budget: Budget) -> Definition:
    """The saga's steps. Nothing is done forward: whoever opens one has accepted the notification."""

    async def give_back(saga: Saga) -> None:
        recipient = f"{saga.data['user_id']}:{Channel(saga.data['channel']).key}"
        taken_at = datetime.fromisoformat(saga.data["accepted"])
        await budget.give_back(recipient, taken_at_s=taken_at.timestamp(), token=saga.key)

    return Definition(Kind.SENDING, (Step(RESERVE, None, give_back), Step(ACCEPT, None), Step(PUBLISH, None, pivot=True)))


# Step by step: reserved (still to be given back), accepted (undone by the statement around this one), never published.
_STATES = ((RESERVE, StepState.DONE), (ACCEPT, StepState.COMPENSATED), (PUBLISH, StepState.PENDING))
_STEPS = json.dumps([[name, state, None, None] for name, state in _STATES])


def opening(source: str, now: str, since: str) -> str:
    """SQL that opens sagas for the notifications in `source`, a table or CTE with their columns; `now` and `since` are placeholders.

    Those accepted before `since` get none: by then their share is back by itself. A saga has the id of its notification, so there is one
    at most; it is due at once.
    """
    return f"""
INSERT INTO sagas (id, kind, key, state, position, steps, data, reason, correlation_id, create_time, update_time, due_at)
SELECT id, '{Kind.SENDING}', id::text, {SagaState.COMPENSATING.value}, 0, CAST('{_STEPS}' AS jsonb),
    jsonb_build_object('user_id', user_id, 'channel', channel, 'accepted', create_time), reason, correlation_id, {now}, {now}, {now}
FROM {source} WHERE create_time > {since}
ON CONFLICT DO NOTHING
"""  # noqa: S608  constants
