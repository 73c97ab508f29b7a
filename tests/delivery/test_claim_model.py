"""A model of claim, lease, send, record, publish and settle: copies of one notification between two workers, in every order of events.

The new rules are the ledger's real script on a real Valkey. The old ones (a claim without owner and lease, a record that always
overwrites) are kept here in a few lines, to show that the model finds the doubles that they caused.
"""

import secrets
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest
import redis
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from delivery.ledger_script import CLAIM, RECORD, RECORD_SENT, RENEW, SCRIPT, TOKEN_LENGTH

ATTEMPTS = 2
SENT, REFUSED, LOST = b"sent", b"Rrefused", b"lost"


class LeasedRules:
    """The script."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._script = client.register_script(SCRIPT)
        client.flushall()

    def _run(self, operation: bytes, attempt: int, token: str, value: bytes = b"") -> bytes:
        (answer,) = cast(list[bytes], self._script(keys=[str(attempt)], args=[3600, 3_600_000, operation + token.encode() + value]))
        return answer

    def claim(self, attempt: int, token: str) -> bytes:
        return self._run(CLAIM, attempt, token)

    def may_call(self, attempt: int, token: str) -> bool:
        """What `Ledger.is_held` comes to, right before the call."""
        return self._run(RENEW, attempt, token) == b"N"

    def record(self, attempt: int, token: str, value: bytes) -> bytes:
        return self._run(RECORD_SENT if value == SENT else RECORD, attempt, token, value)

    def run_out(self, attempt: int, token: str) -> None:
        entry = cast(bytes | None, self._client.get(str(attempt))) or b""
        if token and entry[1 : 1 + TOKEN_LENGTH] == token.encode():
            self._client.set(str(attempt), entry[: 1 + TOKEN_LENGTH] + b"0")


class OldRules:
    """What stood here before: every claim that is met is one of a worker that died, and the last record wins."""

    def __init__(self, client: redis.Redis) -> None:
        self._entries: dict[int, bytes] = {}

    def claim(self, attempt: int, token: str) -> bytes:
        before = self._entries.get(attempt)
        self._entries.setdefault(attempt, b"C")
        return b"N" if before is None else b"L" if before == b"C" else before

    def may_call(self, attempt: int, token: str) -> bool:
        return True

    def record(self, attempt: int, token: str, value: bytes) -> bytes:
        self._entries[attempt] = b"D" + value
        return b"N"

    def run_out(self, attempt: int, token: str) -> None:
        """Nothing had a lease."""


@dataclass(eq=False)
class Handling:
    """A message in a worker's hands. `attempt` is the ledger's; `lost` means that the broker gives the message to another worker too."""

    worker: int
    attempt: int
    token: str = ""
    stage: str = "taken"  # taken, claimed, calling, answered, recorded
    result: bytes = b""
    lost: bool = False


class Claims(RuleBasedStateMachine):
    """One notification. `gone` counts deaths and freezes of workers with a message in hand, `died` those during a
    call to the provider: each of these excuses one double.
    """

    rules_of: ClassVar[type[LeasedRules | OldRules]] = LeasedRules
    client: ClassVar[redis.Redis]
    hold: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.rules_of(self.client)
        self.bus: list[int] = []
        self.handlings: list[Handling] = []
        self.ownerless: list[tuple[int, str]] = []
        self.marked = False
        self.published = 0
        self.taken = 0
        self.died = 0
        self.gone = 0
        self.ends: set[bytes] = set()

    @precondition(lambda self: not self.marked and self.published < 3)
    @rule()
    def publish(self) -> None:
        """Again as long as it is not marked: its confirmation was late, or PostgreSQL did not take the mark."""
        self.bus.append(1)
        self.published += 1

    @precondition(lambda self: self.published and not self.marked)
    @rule()
    def mark(self) -> None:
        self.marked = True

    @precondition(lambda self: self.bus and len(self.handlings) < 4)
    @rule(data=st.data(), worker=st.integers(0, 1))
    def deliver(self, data: st.DataObject, worker: int) -> None:
        self.handlings.append(Handling(worker, self.bus.pop(data.draw(st.integers(0, len(self.bus) - 1)))))

    @precondition(lambda self: self.handlings)
    @rule(worker=st.integers(0, 1))
    def lose_the_connection(self, worker: int) -> None:
        """RabbitMQ gives the messages to whom it may; the worker lives and goes on."""
        for handling in self.handlings:
            if handling.worker == worker and not handling.lost:
                handling.lost = True
                self.bus.append(handling.attempt)

    @precondition(lambda self: self.handlings)
    @rule(data=st.data(), took=st.booleans())
    def go_on(self, data: st.DataObject, took: bool) -> None:
        self.step(data.draw(st.sampled_from(self.handlings)), took=took)

    @precondition(lambda self: self.handlings and self.died < 2)
    @rule(worker=st.integers(0, 1), took=st.booleans())
    def die(self, worker: int, took: bool) -> None:
        for handling in [one for one in self.handlings if one.worker == worker]:
            self.gone += 1
            if handling.stage in {"calling", "answered"}:
                self.died += 1
                self.taken += took and handling.stage == "calling"
            self.handlings.remove(handling)
            self.ownerless.append((handling.attempt, handling.token))
            if not handling.lost:
                self.bus.append(handling.attempt)

    @precondition(lambda self: self.handlings and self.died < 2)
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        """For longer than a lease: the worker goes on and does not know."""
        handling = data.draw(st.sampled_from(self.handlings))
        self.ledger.run_out(handling.attempt, handling.token)
        self.gone += 1
        self.died += handling.stage in {"calling", "answered"}

    @rule()
    def let_leases_run_out(self) -> None:
        for attempt, token in self.ownerless:
            self.ledger.run_out(attempt, token)
        self.ownerless.clear()

    @invariant()
    def it_is_not_sent_twice_while_its_workers_live(self) -> None:
        assert self.taken <= 1 + self.died, "sent twice"

    @invariant()
    def it_is_not_held_as_unknown_while_its_workers_live(self) -> None:
        assert LOST not in self.ends or self.gone, "unknown, though its worker lives"

    def teardown(self) -> None:
        """Everything comes to its end: nothing is lost, and nothing is left."""
        self.bus.append(1)
        self.let_leases_run_out()
        for _ in range(40):
            if not self.bus and not self.handlings:
                break
            if self.bus:
                self.handlings.append(Handling(0, self.bus.pop()))
            for handling in list(self.handlings):
                self.step(handling, took=True)
            self.it_is_not_sent_twice_while_its_workers_live()
        assert not self.handlings
        assert self.ends
        assert self.taken or self.ends <= {REFUSED, LOST}

    def step(self, handling: Handling, *, took: bool) -> None:
        match handling.stage:
            case "taken":
                self.claim(handling)
            case "claimed" if self.ledger.may_call(handling.attempt, handling.token):
                handling.stage = "calling"
            case "claimed":
                handling.stage = "taken"  # another worker has it by now
            case "calling":
                self.taken += took
                handling.stage, handling.result = "answered", SENT if took else REFUSED
            case "answered":
                self.settled_by(handling, self.ledger.record(handling.attempt, handling.token, handling.result))
            case "recorded":
                self.publish_outcome(handling)

    def claim(self, handling: Handling) -> None:
        handling.token = secrets.token_hex(TOKEN_LENGTH // 2)
        answer = self.ledger.claim(handling.attempt, handling.token)
        if answer == b"L" and self.hold:
            handling.stage, handling.result = "answered", LOST
        elif answer in {b"N", b"L"}:
            handling.stage = "claimed"
        elif answer.startswith(b"D"):
            handling.stage, handling.result = "recorded", answer[1:]

    def settled_by(self, handling: Handling, standing: bytes) -> None:
        if standing == b"N":
            handling.stage = "recorded"
        elif standing.startswith(b"D"):
            handling.stage, handling.result = "recorded", standing[1:]
        else:
            handling.stage = "taken"

    def publish_outcome(self, handling: Handling) -> None:
        self.handlings.remove(handling)
        if handling.result[1:] == REFUSED[1:] and handling.attempt < ATTEMPTS:
            self.bus.append(handling.attempt + 1)
        else:
            self.ends.add(REFUSED if handling.result[1:] == REFUSED[1:] else handling.result)


def run(client: redis.Redis, *, rules: type[LeasedRules | OldRules], hold: bool, examples: int) -> None:
    machine: Any = type("Machine", (Claims,), {"rules_of": rules, "client": client, "hold": hold})
    found = settings(max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    run_state_machine_as_test(machine, settings=found)


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


@pytest.mark.parametrize("hold", [False, True])
def test_nothing_is_sent_twice_lost_or_held_while_its_workers_live(client: redis.Redis, *, hold: bool) -> None:
    run(client, rules=LeasedRules, hold=hold, examples=150)


@pytest.mark.parametrize(("hold", "harm"), [(False, "sent twice"), (True, "unknown, though its worker lives")])
def test_the_model_finds_what_the_old_rules_did(client: redis.Redis, harm: str, *, hold: bool) -> None:
    with pytest.raises(AssertionError, match=harm):
        run(client, rules=OldRules, hold=hold, examples=1500)
