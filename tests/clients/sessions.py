"""The sessions that docs/command-line.md shows: one for each group of commands, in an order in which each finds what it needs.

`python -m tests.clients.sessions` (`make sessions`) records them anew; tests/clients/test_sessions.py says when that is due.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from devstack.client import Client
from devstack.processes import API_KEY, ROOT
from devstack.smtp import replies
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.clients.recorder import Recorder, Recording, Step, markdown
from tests.waiting import until_answered

PAGE = ROOT / "docs" / "command-line.md"
_BEGIN = "<!-- sessions -->"


class Session(NamedTuple):
    """Steps of one group, what they are about, and the files that are there before. `keep` names what later steps call `@name@`, by the
    number of the step that shows it. `prepare` makes ready what no command does.
    """

    title: str
    about: str
    steps: tuple[Step, ...]
    files: Mapping[str, str] = {}
    keep: Mapping[str, tuple[int, str]] = {}
    prepare: Callable[[Stack], Awaitable[None]] | None = None


_ID = r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
_WELCOME = {
    "templates/welcome/meta.yaml": "channel: email\ndescription: the first mail\n",
    "templates/welcome/en.subject.txt": "Welcome, {{ name }}\n",
    "templates/welcome/en.txt": "Hello {{ name }}, your code is {{ code }}.\n",
    "templates/welcome/variables.schema.json": '{"type": "object", "properties": {"name": {"examples": ["Ada"]}, '
    '"code": {"sensitive": true, "examples": ["4711"]}}}\n',
}
_CHANGED = {"templates/welcome/en.subject.txt": "Hello, {{ name }}\n"}
_PEOPLE = {
    "people.csv": "email,name,locale,timezone\nbo@example.com,Bo,de,Europe/Berlin\ncy@example,Cy,en,UTC\neve@example.com,Eve,pt-BR,\n"
}
_ITEMS = {
    "items.ndjson": '{"to": {"email": "bo@example.com"}, "variables": {"name": "Bo", "code": "1"}}\n'
    '{"to": {"email": "eve@example.com"}, "variables": {"name": "Eve"}}\n'
}
_STOP = {"stop.csv": "address,reason\nold@example.com,complaint\nno address,manual\n"}


async def _refuse(stack: Stack) -> None:
    assert stack.smtp is not None
    stack.smtp.script("gone@example.com", *[replies("550 5.2.1 Mailbox disabled")] * 3)


async def _workers_there(stack: Stack) -> None:
    """They report themselves every few seconds."""
    async with Client(stack.url, API_KEY) as client:

        async def reported() -> bool:
            found = await client.call("GET", "/v1/queues")
            return {"smtp", "fcm"} <= {name for worker in found.get("workers", ()) for name in worker["providers"]}

        await until_answered(reported)


SESSIONS = (
    Session(
        "login and profiles",
        "Keep the address and a key once. Errors say what to do next; `CLARION_URL` and `CLARION_API_KEY` come before a profile.",
        (
            Step("clarion users list", code=2),
            Step("clarion login --url @url@", answers=(("API key: ", API_KEY),)),
            Step("clarion profiles list"),
            Step("clarion whoami"),
            Step("clarion profiles use staging", code=2),
        ),
    ),
    Session("doctor", "Is everything reachable, do the clocks agree, does the key work?", (Step("clarion doctor", green=("ok",)),)),
    Session(
        "users",
        "People, one by one or from a table. A row that is wrong stops no other.",
        (
            Step("clarion users create ada@example.com --name Ada --locale en --timezone Europe/London"),
            Step("clarion users set ada@example.com plan=pro"),
            Step("clarion users list"),
            Step("cat people.csv"),
            Step("clarion users import people.csv", code=1),
            Step("clarion users export all.csv"),
            Step("clarion users delete eve@example.com", answers=(("[y/N]: ", "n"),), code=130),
        ),
        _PEOPLE,
    ),
    Session(
        "templates",
        "A folder of files, checked, pushed, compared and taken back.",
        (
            Step("ls -1 templates/welcome"),
            Step("clarion templates lint"),
            Step("clarion templates push --note 'the first one'"),
            Step("clarion templates preview welcome"),
            Step("clarion templates diff"),
        ),
        _WELCOME,
    ),
    Session(
        "templates that change",
        "After an edit of `en.subject.txt`:",
        (
            Step("clarion templates diff", code=1),
            Step("clarion templates push --dry-run"),
            Step("clarion templates push"),
            Step("clarion templates history welcome"),
            Step("clarion templates publish welcome 1 --note 'back to the first'"),
            Step("clarion templates pull welcome"),
            Step("cat templates/welcome/en.subject.txt"),
        ),
        _CHANGED,
    ),
    Session(
        "send and watch",
        "",
        (
            Step("clarion send welcome --user ada@example.com --var name=Ada --var code=4711 --metadata order=17"),
            Step("clarion watch @sent@", green=("sent",)),
            Step("clarion send wellcome --user ada@example.com", code=1),
            Step("cat items.ndjson"),
            Step("clarion send welcome --from-file items.ndjson --key spring", code=1),
        ),
        _ITEMS,
        {"sent": (0, _ID)},
    ),
    Session(
        "tail",
        "Every change of every notification, as it happens; without `--limit` until Ctrl-C.",
        (Step("clarion tail --from 0 --status sent --template welcome --limit 2", green=("sent",)),),
    ),
    Session(
        "overview and queues",
        "How much, how fast, what waits, who works.",
        (Step("clarion overview --template welcome"), Step("clarion queues")),
        prepare=_workers_there,
    ),
    Session(
        "notifications",
        "",
        (
            Step("clarion notifications list --metadata order=17", green=("sent",)),
            Step("clarion notifications content @sent@"),
            Step("clarion send welcome --user ada@example.com --var name=Ada --var code=1 --at @soon@"),
            Step("clarion notifications cancel @later@"),
            Step("clarion notifications get 01a2c0de-0000-7000-8000-0123456789ab", code=5),
        ),
        keep={"later": (2, _ID)},
    ),
    Session(
        "dead-letters",
        "What could not be delivered waits for a person, who goes through it by keyboard.",
        (
            Step("clarion send welcome --to gone@example.com --var name=Gus --var code=7 --watch", code=1, red=("failed",)),
            Step("clarion send welcome --to gone@example.com --var name=Gus --var code=8 --watch", code=1),
            Step("clarion send welcome --to gone@example.com --var name=Gus --var code=9 --watch", code=1),
            Step("clarion dead-letters list --template welcome", red=("open",)),
            Step(
                "clarion dead-letters review",
                answers=(("(s): ", "n"), ("note (): ", "asked Gus"), ("(s): ", "d"), ("note (): ", "sent twice"), ("(s): ", "s")),
                red=("SMTP_550",),
            ),
        ),
        keep={"letter": (3, _ID)},
        prepare=_refuse,
    ),
    Session(
        "dead-letters that are sent again",
        "The mailbox is back: one with another value, and all that are left.",
        (
            Step("clarion dead-letters requeue @letter@ --var name=Gustav --note 'his whole name'", green=("requeued",)),
            Step("clarion dead-letters requeue --all --template welcome", answers=(("[y/N]: ", "y"),)),
        ),
    ),
    Session(
        "breakers",
        "Hold a provider back while its maker says that it is down.",
        (
            Step("clarion breakers force smtp open --for 30 --note 'their status page'"),
            Step("clarion breakers list", red=("open",)),
            Step("clarion problems"),
            Step("clarion breakers force smtp auto"),
        ),
    ),
    Session(
        "webhooks",
        "An endpoint is made, tried and looked at; `listen` posts to a server on your own machine instead.",
        (
            Step("clarion webhooks create @hook@/clarion --status sent"),
            Step("clarion webhooks trigger @endpoint@"),
            Step("clarion webhooks deliveries @endpoint@ --limit 1", green=()),
            Step("clarion webhooks disable @endpoint@"),
            Step(
                "clarion webhooks listen @hook@/clarion --status sent --limit 1",
                beside=("signed with", "clarion send welcome --user ada@example.com --var name=Ada --var code=5"),
                green=("sent",),
            ),
            Step("clarion webhooks delete @endpoint@"),
            Step("clarion webhooks list"),
        ),
        keep={"endpoint": (0, _ID)},
    ),
    Session(
        "suppressions",
        "",
        (
            Step("clarion suppressions add noisy@example.com --reason complaint --category news"),
            Step("cat stop.csv"),
            Step("clarion suppressions import stop.csv", code=1),
            Step("clarion suppressions list"),
            Step("clarion suppressions export -"),
            Step("clarion suppressions remove old@example.com"),
        ),
        _STOP,
    ),
    Session(
        "senders",
        "A domain is yours once its record is in DNS.",
        (
            Step("clarion senders domains add mail.example.com"),
            Step("clarion senders domains list"),
            Step("clarion senders list"),
            Step("clarion senders domains delete mail.example.com"),
        ),
    ),
    Session(
        "keys and audit",
        "",
        (
            Step("clarion keys create shop --scope notifications:send --scope notifications:read --template 'welcome*'"),
            Step("clarion keys rotate @key@ --revoke"),
            Step("clarion keys list --limit 1"),
            Step("clarion audit --kind content_read"),
        ),
        keep={"key": (0, _ID)},
    ),
    Session(
        "roles",
        "",
        (
            Step("clarion roles create support --scope notifications:read --scope deadletters:review --description 'answers the phone'"),
            Step("clarion roles list"),
            Step("clarion roles delete support"),
        ),
    ),
    Session(
        "password and second-factor",
        "For people who sign in. What is secret is typed and never shown.",
        (
            Step("clarion password forgot ada@example.com"),
            Step("clarion second-factor status ada@example.com"),
            Step("clarion login --url @url@ --email admin@clarion.test --profile wrong", answers=(("password: ", "a wrong one"),), code=4),
        ),
    ),
    Session(
        "api",
        "Any call of the API, also those without a command of their own; `--json` works with every command.",
        (
            Step("clarion api GET /v1/projects"),
            Step("clarion notifications list --metadata order=17 --json"),
            Step("clarion api GET /v1/nothing", code=5),
        ),
    ),
    Session(
        "projects",
        "With a key of the project `default`.",
        (
            Step("clarion projects create shop --title 'The shop'"),
            Step("clarion projects archive shop", answers=(("[y/N]: ", "y"),)),
            Step("clarion projects restore shop"),
            Step("clarion projects list"),
        ),
    ),
)


async def record(stack: Stack, hook: str, folder: Path) -> dict[str, list[Recording]]:
    """Every session, by its title."""
    recorder = Recorder({}, folder)
    kept = {"url": stack.url, "hook": hook, "soon": (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    recorder.instead |= {stack.url: "http://localhost:18000", hook: "http://localhost:13000"}
    recorded: dict[str, list[Recording]] = {}
    for session in SESSIONS:
        for name, text in session.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        if session.prepare is not None:
            await session.prepare(stack)
        done: list[Recording] = []
        for step in session.steps:
            done.append(await recorder.record(step._replace(line=_filled(step.line, kept))))
            kept |= {name: recorder.find(pattern, done[-1]) for name, (place, pattern) in session.keep.items() if place == len(done) - 1}
        recorded[session.title] = done
    return recorded


def _filled(line: str, kept: Mapping[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda found: kept[found[1]], line)


@asynccontextmanager
async def open_hook() -> AsyncIterator[str]:
    """The address of a server that takes everything."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="thanks")

    application = web.Application()
    application.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def page(recorded: Mapping[str, list[Recording]]) -> str:
    """The page of the documentation with these sessions below what people have written."""
    written, _, _ = PAGE.read_text().partition(_BEGIN)
    parts = [f"## {session.title}\n\n{session.about}\n\n{markdown(recorded[session.title])}" for session in SESSIONS]
    return written + _BEGIN + "\n\n" + "\n".join(part.replace("\n\n\n\n", "\n\n") for part in parts)


@asynccontextmanager
async def recording(folder: Path) -> AsyncIterator[dict[str, list[Recording]]]:
    """Every session with a system of their own, whose data is in the folder."""
    (folder / "home").mkdir()
    async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ={}) as stack, open_hook() as hook:
        yield await record(stack, hook, folder / "home")


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="clarion-sessions-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        async with recording(folder) as recorded:
            PAGE.write_text(page(recorded))


if __name__ == "__main__":
    asyncio.run(_main())
