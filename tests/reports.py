"""Which reports a worker sends to the process that gathers them.

pytest reports of each test that it was set up, ran and was taken down; writing, sending and reading three reports of thousands of tests
costs seconds on both sides. The first and the last say nothing but how long they took, when they have passed.
"""

import pytest
from _pytest.runner import runtestprotocol

# `--durations` leaves out what is shorter, unless it is asked for more.
_SHORT_S = 0.005


def says_something(report: pytest.TestReport) -> bool:
    """Whether a result, a failure or `--durations` needs it."""
    return report.when == "call" or not report.passed or report.duration >= _SHORT_S


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """As pytest has it, in a worker of pytest-xdist."""
    if not hasattr(item.config, "workerinput"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if says_something(report):
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
