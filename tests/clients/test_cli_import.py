"""How `clarion users import` asks: many people in a call, two calls at a time, and an answer for each row."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

from clarion_client import errors
from clarion_client.cli.importing import pieces, take_in
from clarion_client.cli.sheets import SURPLUS
from clarion_client.models import BatchUpsertUsersResponse, UpsertResult
from clarion_client.resources import Users
from tests.waiting import GUARD_S


class Server:
    """Users of a client whose batches wait until another one is under way; a person called "refused" is refused, "no person" is none."""

    def __init__(self, *, waits: bool = False) -> None:
        self._meet = threading.Barrier(2) if waits else None
        self._lock = threading.Lock()
        self._under_way = 0
        self.most_under_way = 0
        self.batches: list[int] = []
        self.alone: list[str] = []

    def batch_upsert(self, *, users: Sequence[Mapping[str, Any]], timeout_s: float | None = None) -> BatchUpsertUsersResponse:
        with self._lock:
            self.batches.append(len(users))
            self._under_way += 1
            self.most_under_way = max(self.most_under_way, self._under_way)
        if self._meet is not None:
            self._meet.wait(GUARD_S)
        with self._lock:
            self._under_way -= 1
        if any(user.get("name") == "no person" for user in users):
            raise errors.InvalidRequest("users[0].name: must be a string")
        refused = {"code": 3, "message": "email: is refused"}
        results = [UpsertResult(error=refused) if user.get("name") == "refused" else UpsertResult(id="id") for user in users]
        return BatchUpsertUsersResponse(results=tuple(results), written_count=len(users))

    def update(self, identifier: str, *, user: Mapping[str, Any], allow_missing: bool) -> None:
        self.alone.append(identifier)
        if user.get("name") == "no person":
            raise errors.InvalidRequest("user.name: must be a string")
        if user.get("name") == "taken":
            raise errors.EmailTaken("email: another user has it")

    def create(self, email: str, **more: Any) -> None:
        self.alone.append(email)
        if email == "known@example.com":
            raise errors.EmailTaken("email: another user has it")


def _people(count: int, **odd: str) -> list[tuple[int, dict[str, Any]]]:
    """Rows from line 2 on; `odd` are names by line."""
    return [(line, {"external_id": f"crm-{line}", "name": odd.get(f"line{line}", "Ada")}) for line in range(2, count + 2)]


def test_two_calls_of_many_are_under_way_at_a_time_and_no_third() -> None:
    """Each waits for another one; one by one, the first would wait for ever."""
    server = Server(waits=True)
    outcomes = list(take_in(cast(Users, server), _people(2000)))
    assert (server.batches, server.most_under_way, server.alone) == ([500] * 4, 2, [])
    assert outcomes == [(line, "written", "") for line in range(2, 2002)]


def test_each_row_is_answered_in_its_place() -> None:
    rows = [
        *_people(700, line300="refused", line650="refused"),
        (702, {"email": "new@example.com"}),
        (703, {"email": "known@example.com"}),
        (704, {SURPLUS: "attributes: must be a JSON object", "external_id": "crm-704"}),
        (705, {"name": "without an address"}),
        (706, {"external_id": "crm-706", "name": "taken"}),
    ]
    outcomes = list(take_in(cast(Users, Server()), rows))
    assert [line for line, _, _ in outcomes] == list(range(2, 707))
    odd = [outcome for outcome in outcomes if outcome[1] != "written"]
    assert [(line, what) for line, what, _ in odd] == [
        (300, "failed"), (650, "failed"), (702, "created"), (703, "existing"), (704, "failed"), (705, "failed"), (706, "failed")
    ]  # fmt: skip
    assert [why for line, _, why in odd if line in {300, 704}] == ["email: is refused", "attributes: must be a JSON object"]


def test_what_spoils_a_whole_call_spoils_its_own_row_only() -> None:
    server = Server()
    outcomes = list(take_in(cast(Users, server), _people(3, line3="no person")))
    assert outcomes == [(2, "written", ""), (3, "failed", "user.name: must be a string"), (4, "written", "")]
    assert server.alone == ["crm-2", "crm-3", "crm-4"]


def test_an_id_that_comes_again_is_in_a_call_of_its_own() -> None:
    """In one with the first it would be refused, and both have been written so far."""
    rows = [(line, {"external_id": own}) for line, own in enumerate("abca", 2)]
    assert [[line for line, _ in piece] for piece in pieces(rows)] == [[2, 3, 4], [5]]


def test_a_call_takes_no_more_than_the_server_does() -> None:
    """500 people with all the attributes that they may have are 8 MB, and a call has 4."""
    rows = [(line, {"external_id": str(line), "attributes": {"a": "x" * 16_000}}) for line in range(500)]
    lengths = [len(json.dumps([row for _, row in piece])) for piece in pieces(rows)]
    assert len(lengths) == 5
    assert max(lengths) < 4_000_000
