"""The examples of the OpenAPI document: each is called or read by what it is written for, against the system as it runs."""

import ast
import asyncio
import inspect
import json
import shlex
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass

from clarion_client import Clarion, ClarionError
from clarion_client.cli.app import command
from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from mesh.rpc.validation import validate
from scripts import gen_samples
from tests.fixtures_postgres import StackFolder

pytestmark = pytest.mark.system

SAMPLES = gen_samples.samples()
LABELS = ("curl", "Python", "clarion", "grpcurl")
# What is right and can't be carried out here: the people, keys and letters of the examples do not exist.
LACKING_STATUSES = {401, 404, 409}
LACKING = {
    "RESET_LINK_INVALID",
    "VERIFICATION_LINK_INVALID",
    "USER_NOT_FOUND",
    "TEMPLATE_NOT_FOUND",
    "TEMPLATE_NOT_PUBLISHED",
    "PERSON_NEEDED",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    async with open_stack(stack_folder("samples"), ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


def sources(label: str) -> dict[str, str]:
    return {method: one["source"] for method, examples in SAMPLES.items() for one in examples if one["label"] == label}


def words_of(shell: str) -> list[str]:
    return shlex.split(shell.replace("\\\n", " "))


def test_they_are_fresh() -> None:
    assert json.loads(gen_samples.TARGET.read_text()) == SAMPLES, "run `make gen`"


@pytest.mark.asyncio(loop_scope="module")
async def test_every_operation_has_them(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    assert len(operations) >= len(SAMPLES)
    assert {tuple(one["label"] for one in operation["x-codeSamples"]) for operation in operations} == {LABELS}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_server_understands_what_curl_sends(stack: Stack) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        problems = {method: problem for method, shell in sources("curl").items() if (problem := await _curl(http, stack.url, shell))}
    assert problems == {}


async def _curl(http: httpx.AsyncClient, base: str, shell: str) -> Any:
    """What the server has against it; empty when it is understood."""
    words = words_of(shell)
    given = {name: words[place + 1] for place, name in enumerate(words) if name in {"-X", "-d", "-T"}}
    headers = dict(words[place + 1].split(": ", 1) for place, name in enumerate(words) if name == "-H")
    if "Authorization" in headers:
        headers["Authorization"] = f"Bearer {API_KEY}"
    url = next(word for word in words if word.startswith("$CLARION_URL")).replace("$CLARION_URL", base)
    verb = given.get("-X", "POST" if "-d" in given else "GET")
    async with http.stream(verb, url, headers=headers, content="\n" if "-T" in given else given.get("-d")) as answer:
        if answer.status_code < 300:
            return ""  # of a stream the head is enough
        error = json.loads(await answer.aread())
    reasons = {detail.get("reason") for detail in error.get("details", ())}
    understood = answer.status_code in LACKING_STATUSES and "NO_SUCH_PATH" not in reasons
    return "" if understood or reasons & LACKING else error


@pytest.mark.asyncio(loop_scope="module")
async def test_the_python_client_takes_the_calls(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_URL", stack.url)
    monkeypatch.setenv("CLARION_API_KEY", API_KEY)
    problems = {}
    for method, source in sources("Python").items():
        _check_call(source)
        if "watch(" not in source:  # it would never end
            problems[method] = await asyncio.to_thread(_run, source)
    assert {method: problem for method, problem in problems.items() if problem} == {}


def _check_call(source: str) -> None:
    """Raises TypeError for arguments that the method does not have."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    call = next(node for node in calls if ast.unparse(node.func).startswith("clarion."))
    with Clarion() as clarion:
        bound: Any = clarion
        for name in ast.unparse(call.func).split(".")[1:]:
            bound = getattr(bound, name)
        named = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        inspect.signature(bound).bind(*map(ast.literal_eval, call.args), **named)


def _run(source: str) -> str:
    """What the server has against it; empty when it is understood."""
    names: dict[str, Any] = {}
    try:
        exec(source, names)
    except ClarionError as error:
        return "" if error.status in LACKING_STATUSES or error.reason in LACKING else str(error)
    finally:
        names["clarion"].close()
    return ""


def test_the_command_line_has_the_commands() -> None:
    commands = command()
    for shell in sources("clarion").values():
        name, *words = words_of(shell)
        assert name == "clarion"
        found: Any = commands
        while hasattr(found, "commands"):
            name, *words = words
            found = found.commands[name]
        found.make_context(name, words)


def test_the_schema_takes_what_grpcurl_sends() -> None:
    for method, shell in sources("grpcurl").items():
        words = words_of(shell)
        service, _, name = method.rpartition(".")
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        assert words[-1] == f"{service}/{name}"
        request = GetMessageClass(found.input_type)()
        if "-d" in words:
            json_format.Parse(words[words.index("-d") + 1], request)
        validate(request)
