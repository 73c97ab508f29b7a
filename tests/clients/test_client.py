"""The Python client against the system as it runs, over REST and gRPC, sync and async."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from clarion_client import AsyncClarion, Clarion, errors
from clarion_client.models import Channel, NotificationStatus
from devstack.processes import API_KEY
from devstack.stack import ANY_PORTS, Stack, open_stack
from tests.fixtures_postgres import StackFolder

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

CONTENTS = {"en": {"subject": "Hello {{ name }}", "text": "Hello {{ name }}!", "html": "<p>Hello {{ name }}!</p>"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(stack_folder: StackFolder) -> AsyncIterator[Stack]:
    folder = stack_folder("client")
    async with open_stack(folder, ports=ANY_PORTS, say=lambda text: None, environ={}) as opened:
        yield opened


@pytest.fixture(params=["http", "grpc"])
def url(stack: Stack, request: pytest.FixtureRequest) -> str:
    return stack.url if request.param == "http" else f"grpc://127.0.0.1:{stack.ports['gateway']}"


@pytest.fixture
async def clarion(url: str) -> AsyncIterator[AsyncClarion]:
    async with AsyncClarion(url, API_KEY) as client:
        yield client


async def a_template(clarion: AsyncClarion, name: str) -> str:
    await clarion.templates.create(name=name, channel="email")
    await clarion.templates.create_version(name, contents=CONTENTS, publish=True)
    return name


async def test_a_notification_is_sent_watched_and_listed(clarion: AsyncClarion, request: pytest.FixtureRequest) -> None:
    door = request.node.callspec.id
    template = await a_template(clarion, f"watched-{door}")
    ada = await clarion.users.create(email=f"ada-{door}@example.com", name="Ada", locale="en")
    sent = await clarion.notifications.send(user_id=ada.id, channel=Channel.EMAIL, template=template, variables={"name": "Ada"})
    states = [state async for state in clarion.notifications.watch(sent.id)]
    assert states[-1].status is NotificationStatus.SENT
    assert states[-1].create_time is not None
    assert states[-1].create_time.tzinfo is not None
    listed = [one async for one in clarion.notifications.list(user_id=ada.id)]
    assert [one.id for one in listed] == [sent.id]
    assert (await clarion.notifications.get(sent.id)).timeline[-1].status is NotificationStatus.SENT


async def test_the_same_key_is_the_same_notification(clarion: AsyncClarion, request: pytest.FixtureRequest) -> None:
    door = request.node.callspec.id
    template = await a_template(clarion, f"keyed-{door}")
    user = await clarion.users.create(email=f"keyed-{door}@example.com")
    arguments = {"user_id": user.id, "channel": "email", "template": template, "variables": {"name": "A"}}
    first, second = [await clarion.notifications.send(**arguments, idempotency_key=f"key-{door}") for _ in range(2)]  # type: ignore[arg-type]  # one dict of both kinds
    assert first.id == second.id
    with pytest.raises(errors.IdempotencyKeyReused):
        await clarion.notifications.send(**{**arguments, "variables": {"name": "B"}}, idempotency_key=f"key-{door}")  # type: ignore[arg-type]  # same


async def test_errors_are_classes_that_name_the_field(clarion: AsyncClarion) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        await clarion.notifications.send(user_id="x", channel="email", template="no-such-template")
    assert caught.value.violations
    assert caught.value.correlation_id
    with pytest.raises(errors.NotFound):
        await clarion.users.get("01890000-0000-7000-8000-000000000001")


async def test_a_wrong_key_is_unauthenticated(url: str) -> None:
    async with AsyncClarion(url, "clk_live_" + "0" * 43) as stranger:
        with pytest.raises(errors.Unauthenticated):
            [one async for one in stranger.users.list()]


async def test_pages_follow_each_other(clarion: AsyncClarion, request: pytest.FixtureRequest) -> None:
    door = request.node.callspec.id
    for number in range(3):
        await clarion.templates.create(name=f"paged-{door}-{number}", channel="push")
    pages = [page async for page in clarion.templates.list(page_size=1).pages()]
    assert len(pages) >= 3
    assert all(len(page) <= 1 for page in pages)


async def test_the_ordinary_client_does_the_same(url: str, request: pytest.FixtureRequest) -> None:
    """In a thread of its own, since it blocks and the system runs in this process."""
    door = request.node.callspec.id

    def use() -> list[str]:
        with Clarion(url, API_KEY) as clarion:
            user = clarion.users.create(email=f"sync-{door}@example.com", name="Sync")
            with pytest.raises(errors.Conflict):
                clarion.users.create(email=user.email)
            return [one.id for one in clarion.users.list(email=user.email)] + [user.id]

    first, second = await asyncio.to_thread(use)
    assert first == second


async def test_a_person_signs_in(clarion: AsyncClarion, url: str, request: pytest.FixtureRequest) -> None:
    email, password = f"person-{request.node.callspec.id}@example.com", "correct horse battery"
    await clarion.users.create(email=email, name="Person", password=password)
    signed_in = await clarion.auth.login(email=email, password=password)
    async with AsyncClarion(url, signed_in.access_token) as own:
        assert [one async for one in own.notifications.list()] == []


async def test_any_number_is_sent_in_one_stream(clarion: AsyncClarion, url: str, request: pytest.FixtureRequest) -> None:
    door = request.node.callspec.id
    template = await a_template(clarion, f"bulk-{door}")
    user = await clarion.users.create(email=f"bulk-{door}@example.com", name="Bulk")
    item = {"user_id": user.id, "channel": "email", "template": template, "variables": {"name": "B"}}
    items = [{**item, "request_id": f"{door}-{number}"} if number != 7 else {"channel": "email"} for number in range(450)]

    def sync() -> list[str]:
        with Clarion(url, API_KEY) as ordinary:
            return [one.accepted.id if one.accepted else "" for one in ordinary.notifications.bulk_send(iter(items))]

    first = await asyncio.to_thread(sync)
    again = [one async for one in clarion.notifications.bulk_send(items)]
    assert [one.accepted.id if one.accepted else "" for one in again] == first
    assert [number for number, one in enumerate(again) if one.error] == [7]
    assert again[7].request_id
    assert len(set(first)) == 450
