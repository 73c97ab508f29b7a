"""Which credentials no longer work: known to every process within seconds, also while the service that keeps them is down."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable

from mesh.resilience.periodic import Periodic

# Longer than a process believes a credential that it has proven without asking again, and longer than an access token lives.
KEPT_S = 3600

Fetch = Callable[[], Awaitable[Iterable[str] | None]]


def key_subject(key_id: str) -> str:
    """An API key."""
    return f"key:{key_id}"


def session_subject(session_id: str) -> str:
    """All tokens that came from one login."""
    return f"session:{session_id}"


def user_subject(user_id: str) -> str:
    """All tokens of a person. Hashed, since it is kept after the person was erased."""
    return f"user:{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"


class Revocations:
    """What this process knows to be revoked. `fetch` answers subjects, known ones again or not, or None when nothing has changed."""

    def __init__(self, fetch: Fetch, *, poll_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, float] = {}
        self._poll = Periodic("revocations", self.poll, interval_s=poll_s)

    def start(self) -> None:
        """Polls from now on; until the first answer nothing is known."""
        self._poll.start()

    async def close(self) -> None:
        """Stops polling."""
        await self._poll.close()

    async def poll(self) -> None:
        """Asks once."""
        subjects = await self._fetch()
        now = self._clock()
        self._known = {subject: until for subject, until in self._known.items() if until > now}
        for subject in subjects or ():
            self._known[subject] = now + KEPT_S

    def includes(self, subjects: Iterable[str]) -> bool:
        """Whether one of the subjects is revoked."""
        return any(subject in self._known for subject in subjects)
