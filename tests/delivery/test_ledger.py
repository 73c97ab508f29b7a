"""The ledger on a real Valkey: claims, leases, records, and what happens without Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clarion.delivery.v1.delivery_pb2 import Outcome
from delivery.attempt_result import decode, encode
from delivery.disposition import Retry
from delivery.ledger import Ledger
from delivery.models import LedgerEntry, LedgerState
from mesh.stores.cache import open_cache
from mesh.stores.settings import CacheSettings
from mesh.testing import FakeClock
from tests.delivery.leases import lease_end_ms, run_out
from tests.relay import Relay
from tests.waiting import until_answered

NONE = LedgerEntry(LedgerState.NONE)
UNKNOWN = LedgerEntry(LedgerState.UNKNOWN)
SHORT_S = 0.3


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_cache(CacheSettings(url=redis_url)) as client:
        yield client


@pytest.fixture
async def ledgers(redis: Redis) -> AsyncIterator[list[Ledger]]:
    """Of two workers."""
    opened = [Ledger(redis), Ledger(redis)]
    yield opened
    for ledger in opened:
        await ledger.close()


async def state(ledger: Ledger, key: str) -> LedgerState:
    (entry,) = await ledger.look_up([key])
    return entry.state


async def until_state(ledger: Ledger, key: str, wanted: LedgerState) -> None:
    async def reached() -> bool:
        return await state(ledger, key) is wanted

    await until_answered(reached)


async def test_a_claim_is_new_once_and_live_from_then_on(ledgers: list[Ledger]) -> None:
    mine, other = ledgers
    assert await mine.look_up(["n1:0:1", "n2:0:1"]) == [NONE, NONE]
    first, second = await mine.claim("n1:0:1"), await other.claim("n1:0:1")
    assert (first.entry, first.held) == (NONE, True)
    assert (second.entry.state, second.held) == (LedgerState.CLAIMED, False)
    assert 0 < second.entry.left_s <= 15
    assert [entry.state for entry in await other.look_up(["n1:0:1", "n2:0:1"])] == [LedgerState.CLAIMED, LedgerState.NONE]


async def test_a_record_replaces_the_claim_keeps_any_bytes_and_is_final(ledgers: list[Ledger]) -> None:
    mine, other = ledgers
    claim = await mine.claim("n")
    assert await mine.record(claim, b"\x00\xff\r\nD") == NONE
    done = LedgerEntry(LedgerState.DONE, b"\x00\xff\r\nD")
    assert await other.look_up(["n"]) == [done]
    assert (await other.claim("n")).entry == done
    assert await mine.record(claim, b"other", sent=True) == done


async def test_of_many_claims_at_once_exactly_one_is_held(redis: Redis) -> None:
    ledgers = [Ledger(redis) for _ in range(4)]
    claims = await asyncio.gather(*(ledger.claim("n") for ledger in ledgers for _ in range(50)))
    assert [claim.held for claim in claims].count(True) == 1
    for ledger in ledgers:
        await ledger.close()


async def test_a_claim_is_renewed_for_as_long_as_its_owner_works(redis: Redis) -> None:
    owner = Ledger(redis, lease_s=2.0)
    claim = await owner.claim("n")

    for _ in range(2):
        before = await lease_end_ms(redis, claim)

        async def renewed(before: int = before) -> bool:
            return await lease_end_ms(redis, claim) > before

        await until_answered(renewed)
    assert await owner.is_held(claim)
    await owner.close()


async def test_who_waits_for_a_claim_gets_its_outcome_or_learns_that_it_takes_long(redis: Redis) -> None:
    owner, patient, impatient = Ledger(redis), Ledger(redis), Ledger(redis, patience_s=0.05)
    claim = await owner.claim("n")
    assert (await impatient.wait("n")).state is LedgerState.CLAIMED
    waiting = asyncio.create_task(patient.wait("n"))
    await owner.record(claim, b"x")
    assert await waiting == LedgerEntry(LedgerState.DONE, b"x")
    for ledger in (owner, patient, impatient):
        await ledger.close()


async def test_a_lease_that_ran_out_means_an_unknown_outcome(redis: Redis) -> None:
    """Its late owner may not use it, and what it says does not count any more."""
    clock = FakeClock()
    frozen, other = Ledger(redis, clock=clock), Ledger(redis)
    late = await frozen.claim("n")
    await run_out(redis, late)
    clock.advance(60)
    assert await other.wait("n") == UNKNOWN
    taken = await other.claim("n")
    assert (taken.entry, taken.held) == (UNKNOWN, True)
    assert not await frozen.is_held(late)
    assert (await frozen.record(late, encode(Retry(Outcome(reason="SMTP_451"))))).state is LedgerState.CLAIMED
    assert await other.record(taken, encode(Retry(Outcome(reason="SMTP_452")))) == NONE
    (entry,) = await other.look_up(["n"])
    assert decode(entry.record) == Retry(Outcome(reason="SMTP_452"))
    assert entry.record[:1] == b"P", "an earlier try may have been sent"
    await frozen.close()
    await other.close()


async def test_a_late_owner_that_comes_first_has_its_claim_again(redis: Redis) -> None:
    clock = FakeClock()
    frozen = Ledger(redis, clock=clock)
    late = await frozen.claim("n")
    await run_out(redis, late)
    clock.advance(60)
    assert await frozen.is_held(late)
    await frozen.close()


async def test_what_was_sent_is_said_by_a_late_owner_too(redis: Redis, ledgers: list[Ledger]) -> None:
    frozen, other = ledgers
    late = await frozen.claim("n")
    await run_out(redis, late)
    taken = await other.claim("n")
    assert await frozen.record(late, b"sent", sent=True) == NONE
    assert await other.record(taken, b"refused") == LedgerEntry(LedgerState.DONE, b"sent")


async def test_an_abandoned_claim_is_unknown_at_once_and_an_unused_one_free(ledgers: list[Ledger]) -> None:
    mine, other = ledgers
    await mine.abandon(await mine.claim("tried"))
    await mine.abandon(await mine.claim("unused"), tried=False)
    assert await other.look_up(["tried", "unused"]) == [UNKNOWN, NONE]
    again = await other.claim("tried")
    await other.abandon(again, tried=False)
    assert await other.look_up(["tried"]) == [UNKNOWN], "the first owner may have sent it"


async def test_a_claim_comes_back_after_redis_has_forgotten_everything(redis: Redis) -> None:
    owner, other = Ledger(redis, lease_s=SHORT_S), Ledger(redis)
    claim = await owner.claim("n")
    await redis.flushall()
    await until_state(other, "n", LedgerState.CLAIMED)
    assert await owner.record(claim, b"x") == NONE
    await owner.close()
    await other.close()


async def test_a_claim_whose_answer_was_lost_is_our_own(redis: Redis) -> None:
    """The client repeats a command after a broken connection; the second one must not read its own claim as another worker's."""
    ledger = Ledger(redis)
    operation = (b"c", b"clarion:ledger:n", b"0123456789abcdef", b"")
    assert [await ledger._run([operation]) for _ in range(2)] == [[NONE], [NONE]]
    await ledger.close()


async def test_entries_expire(redis: Redis) -> None:
    ledger = Ledger(redis, ttl_s=100, prefix="t:")
    await ledger.claim("a")
    await ledger.record(await ledger.claim("b"), b"x")
    assert 0 < await redis.ttl("t:a") <= 100
    assert 0 < await redis.ttl("t:b") <= 100
    await ledger.close()


async def test_without_redis_everything_looks_new_and_the_loss_is_counted() -> None:
    lost: list[int] = []
    async with open_cache(CacheSettings(url="redis://127.0.0.1:1", timeout_s=0.5)) as redis:
        ledger = Ledger(redis, on_unprotected=lost.append)
        assert await ledger.look_up(["a", "b"]) == [NONE, NONE]
        claim = await ledger.claim("a")
        assert claim.entry == NONE
        assert await ledger.is_held(claim)
        await ledger.record(claim, b"x")
        await ledger.close()
    assert sum(lost) == 4


async def test_what_was_claimed_and_recorded_without_redis_is_written_when_it_is_back(redis_url: str) -> None:
    address = redis_url.removeprefix("redis://").partition("/")[0]
    host, _, port = address.partition(":")
    async with (
        Relay(host, int(port)) as relay,
        open_cache(CacheSettings(url=f"redis://127.0.0.1:{relay.port}", timeout_s=0.2)) as away,
        open_cache(CacheSettings(url=redis_url)) as near,
    ):
        cut, other = Ledger(away, lease_s=SHORT_S), Ledger(near)
        kept = await cut.claim("kept")
        await relay.cut()
        done, open_ = await cut.claim("done"), await cut.claim("open")
        for claim in (kept, done):
            assert await cut.record(claim, b"x", sent=True) == NONE
        await relay.restore()
        await until_state(other, "kept", LedgerState.DONE)
        await until_state(other, "done", LedgerState.DONE)
        await until_state(other, "open", LedgerState.CLAIMED)
        assert await cut.is_held(open_)
        await cut.close()
        await other.close()
