"""How a worker's questions are put together, and taken apart when one of them spoils the call."""

from collections.abc import Sequence

import pytest

from delivery.clients import in_parts, known_errors
from mesh.errors import Internal, InvalidArgument, ResourceExhausted, ServiceError, Unavailable


class Callee:
    """Doubles numbers; refuses every call that holds `bad`, or more than `most` numbers."""

    def __init__(self, *, bad: int | None = None, most: int = 1000, error: ServiceError | None = None) -> None:
        self.bad = bad
        self.most = most
        self.error = error
        self.calls = 0

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | ServiceError]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        if self.bad in numbers:
            raise InvalidArgument.of("items", "bad")
        if len(numbers) > self.most:
            raise ResourceExhausted("too long an answer")
        return [number * 2 for number in numbers]


async def test_all_are_asked_at_once() -> None:
    callee = Callee()
    assert await in_parts(callee, range(100)) == [number * 2 for number in range(100)]
    assert callee.calls == 1


async def test_one_bad_question_spoils_no_other() -> None:
    answers = await in_parts(Callee(bad=37), range(100))
    assert isinstance(answers[37], InvalidArgument)
    assert [answer for index, answer in enumerate(answers) if index != 37] == [number * 2 for number in range(100) if number != 37]


async def test_what_is_too_long_for_one_answer_is_asked_in_parts() -> None:
    callee = Callee(most=30)
    assert await in_parts(callee, range(100)) == [number * 2 for number in range(100)]
    assert callee.calls == 7


async def test_a_callee_that_is_down_is_asked_once() -> None:
    callee = Callee(error=Unavailable("down"))
    assert await in_parts(callee, range(100)) == [callee.error] * 100
    assert callee.calls == 1


async def test_a_wrong_number_of_answers_is_nobodys_answer() -> None:
    async def short(numbers: Sequence[int]) -> Sequence[int | ServiceError]:
        return [1]

    assert all(isinstance(answer, Internal) for answer in await in_parts(short, range(3)))


def test_an_error_that_nobody_knows_is_raised() -> None:
    known = Unavailable("down")
    assert known_errors([1, known]) == [1, known]
    with pytest.raises(KeyError):
        known_errors([1, KeyError("unexpected")])
