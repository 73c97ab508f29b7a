"""What the workers of a run leave out when they report (tests/reports.py) is never a failure."""

from typing import Literal

import pytest

from tests.reports import says_something


@pytest.mark.parametrize(
    ("when", "outcome", "duration_s", "sent"),
    [
        ("setup", "passed", 0.001, False),
        ("teardown", "passed", 0.001, False),
        ("setup", "passed", 1.0, True),
        ("call", "passed", 0.001, True),
        ("call", "skipped", 0.001, True),
        ("call", "failed", 0.001, True),
        ("setup", "failed", 0.001, True),
        ("setup", "skipped", 0.001, True),
        ("teardown", "failed", 0.001, True),
    ],
)
def test_a_report_is_left_out_when_it_is_short_and_holds_no_result(
    when: Literal["setup", "call", "teardown"], outcome: Literal["passed", "failed", "skipped"], duration_s: float, sent: bool
) -> None:
    report = pytest.TestReport("tests/a.py::test_a", ("tests/a.py", 1, "test_a"), {}, outcome, None, when, duration=duration_s)
    assert says_something(report) is sent
