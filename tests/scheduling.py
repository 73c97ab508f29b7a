"""Who runs what when several workers of pytest-xdist share a run: a worker takes a module whole, or several that share a costly fixture.

(`--dist=loadgroup` would do the same by markers, but pytest-xdist 3.8 writes them into a field that pytest 9.2 no longer reads.)
"""

from xdist.scheduler import LoadScopeScheduling

# Tests of one group share five processes and their stores, and run beside those of the other groups.
_SYSTEM_GROUPS = (
    ("test_broker_away", "test_kill", "test_lanes", "test_bad_input", "test_grpcurl"),
    ("test_retries", "test_retry_delays", "test_dead_letters", "test_down_parts"),
    ("test_send_notification", "test_process", "test_idempotency", "test_logins"),
)
# Those that read the code itself share its trees.
_CODE = ("test_style", "test_floor_plan", "test_dependencies", "test_architecture", "test_queues", "test_service_shape")
_GROUPS = {
    **{f"tests/system/{module}.py": f"system {number}" for number, modules in enumerate(_SYSTEM_GROUPS) for module in modules},
    **{f"tests/repo/{module}.py": "code" for module in _CODE},
}


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each worker a group at a time, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        # one system and one browser for all tests of the console: starting them takes as long as a dozen tests
        return "console" if module.startswith("tests/console/") else _GROUPS.get(module, module)
