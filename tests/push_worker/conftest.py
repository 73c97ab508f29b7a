"""A local FCM server for the tests of push_worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devstack.fcm import FcmServer, open_fcm_server


@pytest.fixture(scope="session")
def fcm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, since making an RSA key takes its time."""
    return tmp_path_factory.mktemp("fcm")


@pytest.fixture
async def fcm(fcm_folder: Path) -> AsyncIterator[FcmServer]:
    """A server that has received nothing yet."""
    async with open_fcm_server(fcm_folder) as server:
        yield server
