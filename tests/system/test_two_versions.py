"""Two versions side by side: the last release's processes with this code's databases, messages and calls, and the other way round."""

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devstack.client import Client
from devstack.fcm import open_fcm_server
from devstack.postgres import PostgresServer
from devstack.processes import API_KEY, DATABASES, ROOT, ProcessStack, package_of
from devstack.samples import SHIPPED, WELCOME
from devstack.smtp import SmtpServer, open_smtp_server, replies
from mesh.stores.migrations import upgrade

pytestmark = [pytest.mark.system]

# What stands for the last release until there is a tag: five migrations of user_svc, and one each of the others, came after it.
BEFORE = "69d7d037c8fc546fa31deeb1bbc8a655797ba6ec"
# All but webhooks, which is on no way that the others go.
PROCESSES = ("user_svc", "template_svc", "gateway", "email_worker", "push_worker")
PAUSE_S = 0.1


def _git(*words: str) -> bytes | None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture
def old_code(tmp_path: Path) -> Path:
    """The tree of the last release before this commit."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD~1")
    revision = tag.decode().strip() if tag else BEFORE
    archive = _git("archive", "--format=tar", revision)
    if archive is None:
        pytest.skip(f"{revision} is not in this history, which is shallow or no repository: `git fetch --unshallow --tags` brings it")
    folder = tmp_path / "old"
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder


class Roll:
    """Processes of the old code under their names, and of this code as second replicas of them. Counts what is accepted meanwhile."""

    def __init__(self, stack: ProcessStack, client: Client, other: Client, smtp: SmtpServer) -> None:
        self.stack, self.smtp = stack, smtp
        self.old, self.new = client, other
        self.served_by = [client]
        self.accepted: list[str] = []
        self.user = ""

    async def start(self, *names: str) -> None:
        """Returns when they are SERVING."""
        for name in names:
            self.stack.spawn(name)
        await asyncio.gather(*(self.stack.wait_serving(name) for name in names))

    async def stop(self, *names: str) -> None:
        """Asks each to stop, as a rollout does."""
        assert [await asyncio.to_thread(self.stack.stop, name) for name in names] == [0] * len(names)

    async def send(self, client: Client, name: str, channel: str = "email") -> str:
        """By one of the gateways."""
        template, variables = ("welcome", {"name": name}) if channel == "email" else ("shipped", {"order": name})
        return await client.send(self.user, channel, template, variables)

    async def deliver(self, client: Client, name: str) -> None:
        """An e-mail and a push by that gateway arrive."""
        sent = [await self.send(client, f"{name} {channel}", channel) for channel in ("email", "push")]
        for identifier in sent:
            assert (await client.settled(identifier))["status"] == "sent"

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Sends go on, one after the other, to the gateways that serve. None may be refused."""
        going_on = True

        async def sending() -> None:
            number = 0
            while going_on:
                number += 1
                client = self.served_by[number % len(self.served_by)]
                self.accepted.append(await self.send(client, f"load {number}"))
                await asyncio.sleep(PAUSE_S)

        task = asyncio.create_task(sending())
        try:
            yield
        finally:
            going_on = False
            await task


@pytest.fixture
async def roll(tmp_path: Path, old_code: Path, redis_url: str, amqp_url: str) -> AsyncIterator[Roll]:
    """The old code's processes on databases that it has migrated itself."""
    with PostgresServer(tmp_path / "postgres", durable=False) as postgres:
        async with open_smtp_server() as smtp, open_fcm_server(tmp_path / "fcm") as fcm:
            shared = {
                **fcm.environ(),
                "CLARION_CALLER_LIMIT": "1000000",
                "CLARION_RECIPIENT_LIMIT": "1000000",
                "CLARION_DRAIN_S": "1",
                "CLARION_SMTP_FROM": "Clarion <no-reply@clarion.test>",
                "CLARION_SMTP_TLS": "none",
                "CLARION_SMTP_HOST": "127.0.0.1",
                "CLARION_SMTP_PORT": str(smtp.port),
                "CLARION_REDIS_URL": redis_url,
                "CLARION_AMQP_URL": amqp_url,
            }
            stack = ProcessStack(tmp_path, postgres, shared, replicas=2)
            for name in PROCESSES:
                stack.give(name, {"PYTHONPATH": os.pathsep.join((str(old_code), str(old_code / "gen")))})
            for name in DATABASES:
                # Until the release before is one that asks again: a statement that it knows does not fit a table with a new column.
                stack.give(name, {"CLARION_DATABASE_URL": f"{postgres.url(f'clarion_{name}')}?prepared_statement_cache_size=0"})
            urls = stack.urls
            async with Client(urls[0], API_KEY) as client, Client(urls[1], API_KEY) as other:
                try:
                    await asyncio.to_thread(_migrate_by_old_code, stack, postgres)
                    made = Roll(stack, client, other, smtp)
                    await made.start(*PROCESSES)
                    yield made
                finally:
                    for name in [*stack.processes][::-1]:
                        await asyncio.to_thread(stack.stop, name)


def _migrate_by_old_code(stack: ProcessStack, postgres: PostgresServer) -> None:
    for name in DATABASES:
        postgres.create_database(f"clarion_{name}")
        command = [sys.executable, "-m", package_of(name), "migrate"]
        subprocess.run(command, env=stack.environ(name), cwd=stack.folder, check=True, capture_output=True)


def _new(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.2" for name in names)


async def test_a_release_is_rolled_and_rolled_back_beside_the_one_before(roll: Roll) -> None:
    """The order of docs/upgrading.md: the versions meet over gRPC, the bus, Redis and the databases, under load; no send is lost."""
    await roll.old.create_template("welcome", "email", WELCOME)
    await roll.old.create_template("shipped", "push", SHIPPED)
    roll.user = await roll.old.create_user("two@example.com")
    await roll.old.call("POST", f"/v1/users/{roll.user}/devices", {"token": "a-device-of-two-versions", "platform": "android"})
    refused = await _letter(roll, roll.old, "old letter")
    async with roll.load():
        for package in DATABASES:
            await upgrade(package, roll.stack.postgres.url(f"clarion_{package}"))
        await roll.deliver(roll.old, "all old, new databases")

        await roll.start(*_new("user_svc", "template_svc"))
        await roll.stop("user_svc", "template_svc")
        await roll.deliver(roll.old, "old gateway, new services")

        await roll.start(*_new("gateway"))
        roll.served_by.append(roll.new)
        await roll.deliver(roll.new, "new gateway, old workers")

        await roll.start(*_new("email_worker", "push_worker"))
        await roll.stop("email_worker", "push_worker")
        await roll.deliver(roll.old, "old gateway, new workers")
        await _requeued(roll, roll.new, refused)

        roll.served_by.remove(roll.old)
        await roll.stop("gateway")
        await roll.deliver(roll.new, "all new")
        refused = await _letter(roll, roll.new, "new letter")

        await roll.start("gateway", "email_worker", "push_worker")
        roll.served_by.append(roll.old)
        await roll.stop(*_new("email_worker", "push_worker"))
        await roll.deliver(roll.new, "new gateway, old workers again")
        roll.served_by.remove(roll.new)
        soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
        later = await roll.new.send(roll.user, "email", "welcome", {"name": "later"}, send_at=soon)
        await roll.stop(*_new("gateway"))
        await roll.start("user_svc", "template_svc")
        await roll.stop(*_new("user_svc", "template_svc"))
        await roll.deliver(roll.old, "all old again")
        await _requeued(roll, roll.old, refused)
    await _nothing_is_lost(roll, later)


async def _letter(roll: Roll, client: Client, name: str) -> str:
    """A notification that the mail server refuses once, for good."""
    address = f"{name.replace(' ', '-')}@example.com"
    roll.smtp.script(address, replies("550 5.2.1 Mailbox disabled"))
    user = await client.create_user(address)
    identifier = await client.send(user, "email", "welcome", {"name": name})
    assert (await client.settled(identifier))["status"] == "failed"
    async with asyncio.timeout(60):
        filed: set[str] = set()
        while identifier not in filed:
            listed = await client.call("GET", "/v1/dead-letters?page_size=10")
            filed = {letter["notification_id"] for letter in listed["dead_letters"]}
    return identifier


async def _requeued(roll: Roll, client: Client, identifier: str) -> None:
    """A letter that the other version has filed is sent."""
    await client.call("POST", f"/v1/dead-letters/{identifier}:requeue", {"note": "by the other version"})
    assert (await client.settled(identifier))["status"] == "sent"


async def _nothing_is_lost(roll: Roll, later: str) -> None:
    """Each mail once, and the feed of the old code names each change of what both have accepted."""
    settled = await asyncio.gather(*(roll.old.settled(identifier) for identifier in (*roll.accepted, later)))
    assert Counter(notification["status"] for notification in settled) == {"sent": len(settled)}
    mails = Counter(str(mail.message["subject"]) for mail in roll.smtp.mails)
    assert {subject: count for subject, count in mails.items() if count > 1} == {}
    assert sum(subject.startswith("Welcome, load") for subject in mails) == len(roll.accepted) > 20
    ways: dict[str, list[str]] = defaultdict(list)
    async with asyncio.timeout(60):
        while not all(ways[identifier][-1:] == ["sent"] for identifier in roll.accepted):
            ways.clear()
            cursor, more = "", True
            while more:
                page = await roll.old.call("GET", f"/v1/changes?page_size=1000&cursor={cursor}")
                for change in page["changes"]:
                    ways[change["notification_id"]].append(change["status"])
                cursor, more = page.get("next_cursor", ""), page.get("has_more", False)
    # one that is slow to leave is queued once more, and the outcome of a quick one overtakes the note that it was queued
    assert all(ways[identifier][0] == "pending" and {*ways[identifier][1:-1]} <= {"queued"} for identifier in roll.accepted)
