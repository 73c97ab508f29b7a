"""Structured logging: one JSON object a line on standard error, with the correlation id of the call that is being served."""

import json
import logging
import sys
import time

from opentelemetry import trace

from mesh.context import current_or_none

# what a record has by itself; everything else came in as `extra`
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one JSON object. A line a call is on the hot path: this takes a fifth of the time of the general library."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """`time` is UTC; what was given as `extra` follows under its own names."""
        seconds = int(record.created)
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _OWN)
        _add_call(line)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """A record for people: time, level, logger, message, then what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback below it."""
        extra: dict[str, object] = {key: value for key, value in vars(record).items() if key not in _OWN}
        _add_call(extra)
        fields = " ".join(f"{key}={value}" for key, value in extra.items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname:<7} {record.name}: {record.getMessage()} {fields}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _add_call(line: dict[str, object]) -> None:
    call = current_or_none()
    if call is not None:
        line.setdefault("correlation_id", call.correlation_id)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        line["trace_id"] = f"{span.trace_id:032x}"


def _is_no_answer_to_a_client_that_left(record: logging.LogRecord) -> bool:
    """False for the traceback that grpc.aio logs when the connection is gone before it could send a call's status: a client may do that."""
    return not str(record.msg).startswith("ExecuteBatchError raised in core by servicer method")


def set_up(service: str, *, level: str = "INFO", form: str = "json") -> None:
    """Sends every logger's records to standard error as JSON, or as text for people. Replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # asking the kernel and the stack for these at each record costs a third of it, and nothing prints them
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  the switch that logging's own documentation names
    # it answers a lost connection with tracebacks that say no more than mesh/bus/rabbitmq_link.py says in a line
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_answer_to_a_client_that_left)
    for chatty in ("httpx", "httpcore", "hpack", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
