"""Webhooks: where they may go, when they are tried again, and that nothing is left out, whichever process posts them."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.changes.models import Change
from gateway.changes.repository import ChangeRepository
from gateway.notifications.models import Channel, Status
from gateway.webhooks.addresses import check_url, is_allowed
from gateway.webhooks.egress import CheckedResolver, ForbiddenAddress, open_egress
from gateway.webhooks.events import change_body
from gateway.webhooks.models import (
    FAILING_AFTER,
    MAX_ENDPOINTS,
    Attempt,
    Changes,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Selection,
    hold_s,
    wait_s,
)
from gateway.webhooks.posting import Webhooks, next_page, standing_after, tried_once
from gateway.webhooks.repository import EndpointRepository
from gateway.webhooks.settings import EgressSettings
from gateway.webhooks.work_repository import Standing, Tried, Work, WorkRepository
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.sealing import Sealer
from mesh.stores.database import Database
from tests.gateway.factories import make_row
from tests.gateway.test_changes import store

NOW = datetime.now(UTC)
SEALER = Sealer("a secret for the tests of webhooks, long enough", "webhooks")
WORK = Work(UUID(int=1), "p", "https://example.com", Selection(), EndpointState.ENABLED, 0, 0, 0.0, ())
NEW = Delivery("msg_1", "notification.sent", 1, UUID(int=2), DeliveryState.WAITING, None, NOW)
DAY_S = 86_400.0


def answered(status: int, **more: object) -> Attempt:
    return Attempt(NOW, 5, status, **more)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "192.0.0.192",
        "168.63.129.16", "198.18.0.1", "203.0.113.7", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fd00:ec2::254", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:10.0.0.1", "::127.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:db8::1", "2001:0:7f00:1::", "nonsense", "",
        "fec0::1", "feff::1", "3ffe::1", "3fff::1", "4000::1", "192.88.99.1",
    ],
)  # fmt: skip
def test_addresses_inside_are_refused_in_every_form(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_is_allowed_is_public(address: object) -> None:
    if is_allowed(str(address)):
        assert not any(
            getattr(address, kind) for kind in ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_unspecified")
        ) or str(address).startswith(("::ffff:", "64:ff9b:"))


def test_an_operator_may_allow_more() -> None:
    allowed = (ip_network("127.0.0.0/8"),)
    assert is_allowed("127.0.0.1", allowed)
    assert not is_allowed("10.0.0.1", allowed)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0xa9fea9fe", "169.254.169.254", "10.0.0.1", "[::1]",
        "[::ffff:127.0.0.1]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "\uff11\uff12\uff17.0.0.1", "0.0.0.0", "[::]",
    ],
)  # fmt: skip
def test_a_url_with_an_address_inside_is_refused_at_once(host: str) -> None:
    """Its owner learns it as they type it, and not from an endpoint that is paused for failing."""
    for url in (f"https://{host}/hook", f"https://{host}:8443/hook"):
        with pytest.raises(InvalidArgument, match=r"^webhook_endpoint\.url: must not lead to an address that is not public"):
            check_url("webhook_endpoint.url", url)


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/", "https://[2606:4700:4700::1111]/", "https://hooks.example.com/", "https://0x7f.example.com/"]
)
def test_names_and_public_addresses_are_taken(url: str) -> None:
    assert check_url("webhook_endpoint.url", url) == url


def test_what_an_operator_allows_is_taken_as_a_url() -> None:
    allowed = (ip_network("127.0.0.0/8"),)
    assert check_url("webhook_endpoint.url", "http://127.0.0.1:9000/", allowed=allowed)
    with pytest.raises(InvalidArgument):
        check_url("webhook_endpoint.url", "http://10.0.0.1:9000/", allowed=allowed)


async def test_a_name_that_leads_inside_is_refused_when_it_is_resolved() -> None:
    """At each connection, so that a name which leads elsewhere the second time gains nothing by it."""
    resolver = CheckedResolver(EgressSettings())
    try:
        with pytest.raises(ForbiddenAddress):
            await resolver.resolve("localhost", 443, socket.AF_INET)
    finally:
        await resolver.close()
    async with open_egress(EgressSettings()) as egress:
        for url in (
            "http://localhost:1/",
            "http://127.0.0.1:1/",
            "http://[::ffff:127.0.0.1]:1/",
            "http://2130706433:1/",
            "http://0x7f.1:1/",
        ):
            attempt = await egress.post(url, b"{}", {})
            assert (attempt.status, attempt.reason in {"ADDRESS_FORBIDDEN", "URL_INVALID"}) == (0, True), url


def test_retries_go_on_for_three_days() -> None:
    waits: list[float] = []
    while (wait := wait_s(len(waits) + 1, jitter=0.0)) is not None:
        waits.append(wait)
    assert 2.5 * DAY_S < sum(waits) < 3.5 * DAY_S
    assert waits[:2] == [5.0, 30.0]


@given(st.integers(1, 13), st.floats(-1, 1))
def test_waits_vary_by_a_fifth(tries: int, jitter: float) -> None:
    plain, varied = wait_s(tries, jitter=0.0), wait_s(tries, jitter=jitter)
    assert plain is not None
    assert varied is not None
    assert 0.79 * plain <= varied <= 1.21 * plain


def test_an_endpoint_that_takes_nothing_is_asked_less_and_less_often() -> None:
    holds = [hold_s(FAILING_AFTER - 1 + number) for number in range(30)]
    assert holds[:3] == [0.0, 5.0, 10.0]
    assert holds == sorted(holds)
    assert holds[-1] == 900.0


@pytest.mark.parametrize(
    ("attempt", "state", "waits"),
    [
        (answered(204), DeliveryState.DELIVERED, False),
        (answered(302), DeliveryState.WAITING, True),
        (answered(500), DeliveryState.WAITING, True),
        (answered(0, reason="TIMEOUT"), DeliveryState.WAITING, True),
        (answered(0, reason="CHANGE_FORGOTTEN"), DeliveryState.FAILED, False),
    ],
)
def test_what_an_answer_means_for_a_delivery(attempt: Attempt, state: DeliveryState, waits: bool) -> None:
    tried = tried_once(NEW, attempt)
    assert (tried.delivery.state, tried.wait_s is not None, tried.delivery.tries) == (state, waits, 1)


def test_an_endpoint_says_when_it_wants_to_be_asked_again() -> None:
    tried = tried_once(NEW, answered(503, retry_after_s=120.0))
    assert tried.wait_s == 120.0
    assert standing_after(WORK, [tried], 7).hold_s == 120.0
    assert tried_once(NEW, answered(429, retry_after_s=1e9)).wait_s == 3600.0


def test_where_an_endpoint_stands_after_a_batch() -> None:
    good, bad = tried_once(NEW, answered(200)), tried_once(NEW, answered(500))
    assert standing_after(WORK, [good, bad], 7) == Standing(7, 0)
    assert standing_after(WORK, [bad], 7) == Standing(7, 1)
    failing = WORK._replace(failures=FAILING_AFTER, failing_s=DAY_S)
    assert standing_after(failing, [bad], 7).hold_s > 0
    assert standing_after(failing, [good], 7) == Standing(7, 0)
    paused = standing_after(failing._replace(failing_s=3.1 * DAY_S), [bad], 7)
    assert (paused.state, "500" in paused.reason) == (EndpointState.PAUSED, True)
    assert standing_after(WORK, [good, tried_once(NEW, answered(410))], 7).state is EndpointState.GONE
    assert standing_after(failing, [], 9) == Standing(9, FAILING_AFTER)
    assert standing_after(WORK, [bad] * 100, 7).failures == FAILING_AFTER, "one outage, however many calls it has met"
    assert standing_after(failing, [bad], 7).failures == FAILING_AFTER + 1
    left = Tried(NEW, 0.0, posted=False)
    assert standing_after(failing, [left], 9) == Standing(9, FAILING_AFTER)


def test_a_slow_endpoint_gets_few_events_at_once() -> None:
    assert [next_page(10, 0.1), next_page(80, 0.1), next_page(100, 0.1), next_page(100, 9.0)] == [20, 100, 100, 10]


def test_probes_of_an_endpoint_that_keeps_failing_use_up_no_try() -> None:
    tried = NEW
    for _ in range(50):
        tried = tried_once(tried, answered(500), counts=False).delivery
    assert (tried.state, tried.tries) == (DeliveryState.WAITING, 0)


class FakePoster:
    """Answers as `status` says, or never while `hangs` is set. `refuses` is an event that it never takes. Keeps the ids in order."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = False
        self.refuses: str | None = None
        self.gate: asyncio.Event | None = None
        self.begun = 0
        self.posted: list[str] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        self.begun += 1
        if self.hangs and len(self.posted) >= 3:
            await asyncio.Event().wait()
        if self.gate is not None and self.begun > 10:
            await self.gate.wait()
        self.posted.append(headers["webhook-id"])
        return answered(500 if headers["webhook-id"] == self.refuses else self.status)


async def endpoint_of(database: Database) -> UUID:
    identifier = uuid4()
    sealed = SEALER.seal(b"whsec_c2VjcmV0", str(identifier))
    endpoints = EndpointRepository(database)
    assert await endpoints.add(
        identifier, FIRST_PROJECT, "https://example.com", description="", selection=Selection(), sealed_secret=sealed
    )
    return identifier


async def test_an_endpoint_that_is_made_disabled_is_disabled(database: Database) -> None:
    """And gets what comes after it was enabled, as one that was disabled later."""
    identifier, endpoints = uuid4(), EndpointRepository(database)
    assert await endpoints.add(
        identifier, FIRST_PROJECT, "https://example.com", description="", selection=Selection(), sealed_secret=b"s", disabled=True
    )
    assert (await found(database, identifier)).state is EndpointState.DISABLED
    await endpoints.update(FIRST_PROJECT, identifier, Changes(disabled=False))
    assert (await found(database, identifier)).state is EndpointState.ENABLED


async def test_a_project_has_no_more_endpoints_than_it_may_when_many_are_made_at_once(database: Database) -> None:
    endpoints = EndpointRepository(database)

    async def add(project: str) -> bool:
        return await endpoints.add(uuid4(), project, "https://example.com/hook", description="", selection=Selection(), sealed_secret=b"s")

    assert [await add(FIRST_PROJECT) for _ in range(MAX_ENDPOINTS - 2)] == [True] * (MAX_ENDPOINTS - 2)
    assert sorted(await asyncio.gather(*(add(FIRST_PROJECT) for _ in range(8)))) == [False] * 6 + [True] * 2
    assert await add("another")


async def posting_until(database: Database, poster: FakePoster, ready: Callable[[], Awaitable[bool]]) -> None:
    webhooks = Webhooks(WorkRepository(database), ChangeRepository(database), poster, SEALER)
    webhooks.start()
    try:
        async with asyncio.timeout(20):
            while not await ready():  # noqa: ASYNC110  a database offers no event
                await asyncio.sleep(0.02)
    finally:
        await webhooks.close()


async def found(database: Database, identifier: UUID) -> Endpoint:
    endpoint = await EndpointRepository(database).find(FIRST_PROJECT, identifier)
    assert endpoint is not None
    return endpoint


@pytest.mark.parametrize("host", ["a..b", ".example", "\u2488.example"])
async def test_a_host_that_no_name_can_be_is_a_fault_of_the_url(host: str) -> None:
    async with open_egress(EgressSettings()) as egress:
        assert (await egress.post(f"https://{host}/", b"{}", {})).reason == "URL_INVALID"


async def test_what_a_process_leaves_behind_another_one_posts_under_the_same_ids(database: Database) -> None:
    """It ended in the middle of a batch: what it has posted comes twice, and nothing is left out."""
    identifier = await endpoint_of(database)
    await store(database, *(make_row() for _ in range(20)))
    await ChangeRepository(database).sequence()
    first, second = FakePoster(), FakePoster()
    first.hangs = True

    async def three_posted() -> bool:
        return len(first.posted) == 3

    async def at_the_end() -> bool:
        return (await found(database, identifier)).position == 20

    await posting_until(database, first, three_posted)
    await posting_until(database, second, at_the_end)
    assert set(first.posted) < set(second.posted)
    assert len(second.posted) == len(set(second.posted)) == 20


async def test_a_process_that_stops_waits_for_its_calls_and_leaves_the_rest(database: Database) -> None:
    """It is in the middle of its second batch then. Nothing comes twice, and nothing is left out."""
    identifier = await endpoint_of(database)
    await store(database, *(make_row() for _ in range(60)))
    await ChangeRepository(database).sequence()
    first, second = FakePoster(), FakePoster()
    first.gate = asyncio.Event()
    webhooks = Webhooks(WorkRepository(database), ChangeRepository(database), first, SEALER)
    webhooks.start()
    async with asyncio.timeout(20):
        while first.begun < 20:  # noqa: ASYNC110  a database offers no event
            await asyncio.sleep(0.02)
        closing = asyncio.create_task(webhooks.close(within_s=20))
        await asyncio.sleep(0)
        first.gate.set()
        await closing
    assert len(first.posted) == 20

    async def all_recorded() -> bool:
        return (await found(database, identifier)).position == 60

    await posting_until(database, second, all_recorded)
    assert len({*first.posted, *second.posted}) == len(first.posted) + len(second.posted) == 60


async def test_one_event_that_is_never_taken_holds_up_no_other(database: Database) -> None:
    """An endpoint that is well but for that one gets what comes later, even where it has failed so often that it is only probed."""
    identifier = await endpoint_of(database)
    changes, picky = ChangeRepository(database), FakePoster()
    await store(database, make_row())
    await changes.sequence()

    async def refused() -> bool:
        return len(picky.posted) == 1

    async def forgive() -> bool:
        """As though time went by: the endpoint has failed for long and may be asked again."""
        await database.fetch("UPDATE webhook_endpoints SET failures = greatest(failures, 5), hold_until = NULL WHERE id = $1", identifier)
        return (await found(database, identifier)).position == 4

    picky.status = 500
    await posting_until(database, picky, refused)
    picky.status, picky.refuses = 200, picky.posted[0]
    await store(database, *(make_row() for _ in range(3)))
    await changes.sequence()
    await posting_until(database, picky, forgive)
    assert len(set(picky.posted)) == 4


async def test_one_process_at_a_time_works_for_an_endpoint(database: Database) -> None:
    """And what one that has lost its lease would write is not written."""
    identifier, works = await endpoint_of(database), WorkRepository(database)
    await store(database, make_row())
    await ChangeRepository(database).sequence()
    (work,) = await works.claim(b"one", lease_s=60, most=10)
    assert await works.claim(b"two", lease_s=60, most=10) == []
    await works.release(identifier, b"two")
    assert await works.claim(b"two", lease_s=60, most=10) == []
    await works.release(identifier, b"one")
    (taken,) = await works.claim(b"two", lease_s=60, most=10)
    assert taken == work
    assert await works.record(identifier, b"one", [tried_once(NEW, answered(200))], Standing(1, 0)) is None
    assert await EndpointRepository(database).find_delivery(identifier, NEW.id) is None
    recorded = await works.record(identifier, b"two", [tried_once(NEW, answered(200))], Standing(1, 0))
    assert recorded is not None
    assert recorded.position == 1


async def test_a_dead_endpoint_keeps_its_place_in_the_feed(database: Database) -> None:
    """Of hundreds of changes it is asked with ten and then one at a time, and none is given up."""
    identifier = await endpoint_of(database)
    await store(database, *(make_row() for _ in range(300)))
    await ChangeRepository(database).sequence()
    dead, well = FakePoster(), FakePoster()
    dead.status = 500

    async def failing() -> bool:
        return (await found(database, identifier)).failing_since is not None

    async def at_the_end() -> bool:
        return (await found(database, identifier)).position == 300

    await posting_until(database, dead, failing)
    endpoint = await found(database, identifier)
    assert (endpoint.position, endpoint.last, endpoint.state) == (10, 300, EndpointState.ENABLED)
    assert await EndpointRepository(database).replay(identifier, (), None, None, DeliveryState.WAITING) == 10
    await posting_until(database, well, at_the_end)
    assert (await found(database, identifier)).failing_since is None
    assert set(dead.posted) < set(well.posted)
    assert len(set(well.posted)) == 300


def test_an_event_stays_small_however_long_the_labels_are() -> None:
    """A label may have 500 characters of four bytes each."""
    longest = {f"{number}{'ü' * 62}": "𝄞" * 500 for number in range(20)}
    change = Change(
        7, UUID(int=2), Status.SENT, 0, 1, "", NOW, UUID(int=3), Channel.EMAIL, "welcome", "", {"order": "17"}, "correlation", test=True
    )
    small, cut = (json.loads(change_body(one)) for one in (change, change._replace(metadata=longest)))
    assert (small["data"]["metadata"], small["data"]["test"]) == ({"order": "17"}, True)
    assert (cut["data"]["metadata"], cut["data"]["metadata_omitted"]) == ({}, True)
    assert len(change_body(change._replace(metadata=longest))) < 20_000
