"""Structured logging: one JSON object a line on standard error, with the correlation id of the call that is being served."""

import logging
import sys

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

from mesh.context import current_or_none

_SHORT = {"levelname": "level", "name": "logger", "message": "msg"}


class CallFilter(logging.Filter):
    """Adds service, correlation id and trace id to every record."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        if not hasattr(record, "service"):
            record.service = self._service
        call = current_or_none()
        if call is not None and not hasattr(record, "correlation_id"):
            record.correlation_id = call.correlation_id
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            record.trace_id = f"{span.trace_id:032x}"
        return True


def set_up(service: str, *, level: str = "INFO", form: str = "json") -> None:
    """Sends every logger's records to standard error as JSON, or as text for people. Replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(CallFilter(service))
    if form == "json":
        handler.setFormatter(JsonFormatter("%(levelname)s %(name)s %(message)s", timestamp=True, rename_fields=_SHORT))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(service)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("aiormq", "aio_pika", "httpx", "httpcore", "hpack", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
