"""People of a table on their way in: those with an id of the caller's own many in a call, the others one by one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clarion_client import ClarionError, errors
from clarion_client.cli.sheets import SURPLUS, TOO_MANY, each

if TYPE_CHECKING:
    from clarion_client.resources import Users

# A line of the file and what it gives, and what came of it: the line, the outcome, and why not.
Row = tuple[int, dict[str, Any]]
Outcome = tuple[int, str, str]

_BATCH = 500
# Attributes may be long, and a call takes 4 MB.
_BATCH_CHARACTERS = 2_000_000
# One is under way while the server writes the other one; more wait for the same database.
_BATCHES_AT_ONCE = 2
_WAIT_S = 60.0


def take_in(users: Users, rows: Sequence[Row]) -> Iterator[Outcome]:
    """What comes of each row, in their order."""
    turns = threading.Semaphore(_BATCHES_AT_ONCE)

    def work(piece: list[Row]) -> list[Outcome]:
        if "external_id" not in piece[0][1] or len(piece) == 1:
            return [_alone(users, row) for row in piece]
        with turns:
            return _together(users, piece)

    for outcomes in each(list(pieces(rows)), work):
        yield from outcomes


def pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in their order, for one call each. Of several with one id each is in a call of its own, since it would be refused beside another."""
    piece: list[Row] = []
    ids: set[str] = set()
    size = 0
    for row in rows:
        external_id = None if SURPLUS in row[1] else row[1].get("external_id")
        length = len(json.dumps(row[1]))
        full = len(piece) == _BATCH or size + length > _BATCH_CHARACTERS
        if piece and (external_id is None or external_id in ids or full):
            yield piece
            piece, ids, size = [], set(), 0
        if external_id is None:
            yield [row]
        else:
            piece.append(row)
            ids.add(external_id)
            size += length
    if piece:
        yield piece


def _together(users: Users, piece: list[Row]) -> list[Outcome]:
    try:
        results = users.batch_upsert(users=[row for _, row in piece], timeout_s=_WAIT_S).results
    except errors.InvalidRequest:
        # something in it is not even a person: alone each gets its own answer
        return [_alone(users, row) for row in piece]
    except ClarionError as error:
        return [(line, "failed", error.message) for line, _ in piece]
    refused = [None if result.error is None else str(result.error.get("message", "refused")) for result in results]
    return [(line, "written", "") if why is None else (line, "failed", why) for (line, _), why in zip(piece, refused, strict=True)]


def _alone(users: Users, numbered: Row) -> Outcome:
    line, row = numbered
    if row.get(SURPLUS):
        return line, "failed", row[SURPLUS]
    if SURPLUS in row:
        return line, "failed", TOO_MANY
    try:
        if "external_id" in row:
            users.update(row["external_id"], user=row, allow_missing=True)
            return line, "written", ""
        users.create(**row)
    except ClarionError as error:
        if isinstance(error, errors.EmailTaken) and "external_id" not in row:
            return line, "existing", ""
        return line, "failed", error.message
    except TypeError:
        return line, "failed", f"email: is missing in {json.dumps(row)}"
    return line, "created", ""
