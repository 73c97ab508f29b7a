"""Errors about webhooks."""

from gateway.webhooks.models import MAX_ENDPOINTS
from mesh.errors import FailedPrecondition, NotFound, Unavailable


class WebhookEndpointNotFound(NotFound):
    """The project has no such endpoint."""

    reason = "WEBHOOK_ENDPOINT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such webhook endpoint; GET /v1/webhook-endpoints lists them")


class TooManyEndpoints(FailedPrecondition):
    """One must go before another can come."""

    reason = "TOO_MANY_WEBHOOK_ENDPOINTS"

    def __init__(self) -> None:
        super().__init__(f"a project may have at most {MAX_ENDPOINTS} webhook endpoints; delete one that is not needed any more")


class EndpointNotEnabled(FailedPrecondition):
    """It gets no events."""

    reason = "WEBHOOK_ENDPOINT_NOT_ENABLED"

    def __init__(self, state: str) -> None:
        super().__init__(f"the endpoint is {state}; enable it with PATCH /v1/webhook-endpoints/{{id}} and disabled: false")


class NotPosted(Unavailable):
    """No process has posted the test."""

    reason = "WEBHOOK_NOT_POSTED"

    def __init__(self) -> None:
        super().__init__(
            "the test was not posted yet: the process that posts webhooks (`python -m gateway.webhooks`) is down or busy", retry_after_s=5
        )
