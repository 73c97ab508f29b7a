"""Valid models by default; override by keyword."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.testing import SECRET
from user_svc.auth.api_keys import api_key
from user_svc.auth.models import ApiKey
from user_svc.devices.models import Device, Platform
from user_svc.recipients.models import Contact
from user_svc.users.models import Role, User

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def advance(self, **by: float) -> None:
        """Moves on; keywords of timedelta."""
        self.now += timedelta(**by)


def make_user(**overrides: Any) -> User:
    """A person without an address, so that many fit into one table."""
    user = User(ids.new_id(), "", "Ada", "en", "UTC", Role.MEMBER, START, START)
    return replace(user, **overrides)


def make_device(user: User, token: str = "token-1", **overrides: Any) -> Device:
    """A device of the person."""
    return replace(Device(ids.new_id(), user.id, token, Platform.ANDROID, START, START), **overrides)


def make_api_key(secret: str = "clk_test_0123456789", **overrides: Any) -> ApiKey:
    """A key that may read people and never expires."""
    return replace(api_key(secret, name="test", scopes=["users:read"], created_by="tests", now=START), **overrides)


def make_contact(**overrides: Any) -> Contact:
    """A person with an address and nothing else."""
    return replace(Contact(ids.new_id(), FIRST_PROJECT, "ada@example.com", (), "en", "UTC", "Ada", (), ()), **overrides)


def environ(url: str, **more: str) -> dict[str, str]:
    """The least that user_svc needs, on a free port of loopback."""
    return {
        "CLARION_DATABASE_URL": url,
        "CLARION_SERVICE_SECRET": SECRET,
        "CLARION_DIRECT_CALLERS": "true",
        "CLARION_HOST": "127.0.0.1",
        "CLARION_GRPC_PORT": "0",
        **more,
    }
