"""A pipeline with one provider, for tests that bring their own ledger or clock."""

import time
from collections.abc import Callable

from delivery.models import LedgerStore, Recipients, Renderer, Sender
from delivery.pipeline import DeliveryPipeline
from delivery.routing import Route, Routing
from mesh.resilience.shared_breaker import SharedBreakers
from tests.delivery.fakes import FakeRecipients, FakeRenderer


def make_pipeline(
    ledger: LedgerStore,
    sender: Sender,
    *,
    recipients: Recipients | None = None,
    renderer: Renderer | None = None,
    now_s: Callable[[], float] = time.time,
) -> DeliveryPipeline:
    """One worker's."""
    breaker = SharedBreakers().breaker("provider")
    return DeliveryPipeline(
        recipients=recipients or FakeRecipients(), renderer=renderer or FakeRenderer(), ledger=ledger,
        routing=Routing([Route("provider", sender, breaker, 4)]), now_s=now_s,
    )  # fmt: skip
