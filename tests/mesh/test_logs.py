"""Log lines."""

import json
import logging

from mesh import context
from mesh.context import CallContext
from mesh.process.logs import JsonFormatter, TextFormatter


def _record(message: str = "hello", **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("clarion.test", logging.INFO, "", 0, message, (), None)
    vars(record).update(extra)
    return record


def test_a_line_is_one_json_object_with_its_extra_fields() -> None:
    """Also with line breaks and foreign letters in them."""
    line = JsonFormatter("gateway").format(_record("two\nlines", queue="é", n=1))
    assert "\n" not in line
    read = json.loads(line)
    assert {key: read[key] for key in ("level", "service", "logger", "msg", "queue", "n")} == {
        "level": "INFO", "service": "gateway", "logger": "clarion.test", "msg": "two\nlines", "queue": "é", "n": 1,
    }  # fmt: skip


def test_a_line_names_the_call_that_is_being_served() -> None:
    """By its correlation id; outside of a call there is none."""
    with context.use(CallContext("/a.B/C", "corr-1")):
        assert json.loads(JsonFormatter("gateway").format(_record()))["correlation_id"] == "corr-1"
        assert TextFormatter().format(_record(n=1)).endswith("clarion.test: hello n=1 correlation_id=corr-1")
    assert "correlation_id" not in JsonFormatter("gateway").format(_record())
