"""`clarion api`: any call of the API, for what has no command of its own."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from clarion_client._calls import Call, Options
from clarion_client._http import HttpTransport
from clarion_client.cli.session import UsageProblem, read_json, session

_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TIMEOUT_S = 60.0


def api(
    method: Annotated[str, typer.Argument(help=f"One of {', '.join(_VERBS)}.")],
    path: Annotated[str, typer.Argument(help="As /docs shows it, with the query: /v1/projects?page_size=5.")],
    data: Annotated[str | None, typer.Option("--data", "-d", help="The JSON body; - reads standard input.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
) -> None:
    """Make any call of the API, with the profile's key, and print the JSON of its answer; of a stream, a line for each message."""
    verb = method.upper()
    if verb not in _VERBS or not path.startswith("/"):
        raise UsageProblem("write it as: clarion api GET /v1/notifications")
    content = _content(data)
    streams = path.partition("?")[0].endswith(":watch")
    call = Call(path, verb, path.replace("{", "%7B"), body="*" if data is not None else "", streams=streams)
    options = Options(_TIMEOUT_S, 0, key or "")
    transport = session.clarion.transport
    if not isinstance(transport, HttpTransport):
        raise UsageProblem("clarion api speaks REST: give the profile an https:// or http:// address")
    for answer in transport.stream(call, content, options) if streams else [transport.unary(call, content, options, _TIMEOUT_S)]:
        session.json(answer)


def _content(data: str | None) -> dict[str, Any]:
    if data is None:
        return {}
    try:
        content = read_json(sys.stdin.read() if data == "-" else data)
    except ValueError as error:
        raise UsageProblem(f"--data: is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageProblem("--data: must be a JSON object")
    return content
