"""Fixtures for every test: the real servers, each started once and only when a test asks for it."""

from __future__ import annotations

from importlib.util import find_spec

pytest_plugins = [
    name for name in ("tests.fixtures_postgres", "tests.fixtures_valkey", "tests.fixtures_broker") if find_spec(name) is not None
]
