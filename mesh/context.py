"""Who is calling what, under which deadline: the frozen record that travels with each call in a context variable."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from mesh.deadline import Deadline

# The project that exists from the first start; what names none belongs to it.
FIRST_PROJECT = "default"


class CallerKind(StrEnum):
    """How a caller has proved who they are."""

    ANONYMOUS = "anonymous"
    USER = "user"
    API_KEY = "api_key"
    SERVICE = "service"


# What a credential is narrowed to: pairs of a kind and the names of that kind.
Bounds = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """A proven identity. `user_id` is set for a person's own access token only.

    `project` bounds what the caller reaches: to it, nothing of another project exists. `test` is set for a key that reaches no provider.
    `bounds` narrow what it may name, by kind, in the words of the part that checks them. `subjects` are what revokes the credential
    (`mesh.rpc.revocations`); `expires_at` is when it ends, in seconds since the epoch.
    """

    kind: CallerKind
    id: str
    scopes: frozenset[str] = frozenset()
    user_id: str | None = None
    name: str = ""
    subjects: tuple[str, ...] = ()
    expires_at: float | None = None
    project: str = FIRST_PROJECT
    test: bool = False
    bounds: Bounds = ()

    @property
    def label(self) -> str:
        """Who it is, as stored and logged: "user:01968b5e-…", "api_key:01968b5e-…"."""
        return f"{self.kind.value}:{self.id}"

    def bound(self, kind: str) -> tuple[str, ...]:
        """What of a kind the credential is narrowed to; empty for one that is not."""
        return next((names for known, names in self.bounds if known == kind), ())

    def has(self, scope: str) -> bool:
        """Whether the caller holds the scope; services of the mesh hold every one."""
        return self.kind is CallerKind.SERVICE or scope in self.scopes

    def confined_to(self, scope: str) -> str | None:
        """The one person whose objects this caller may reach, or None when `scope` opens all of them."""
        return None if self.has(scope) else self.user_id


ANONYMOUS = Caller(CallerKind.ANONYMOUS, "anonymous")


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. `metadata` has lower-case keys; `headers` collects what goes back with the response."""

    method: str
    correlation_id: str
    caller: Caller = ANONYMOUS
    deadline: Deadline | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)

    def set_header(self, name: str, value: str) -> None:
        """Adds a response header (lower-case name): an HTTP header at the REST edge, initial metadata in gRPC."""
        self.headers.append((name, value))


_current: ContextVar[CallContext | None] = ContextVar("clarion_call", default=None)


def current() -> CallContext:
    """The call that is being served. Raises RuntimeError outside of one."""
    context = _current.get()
    if context is None:
        raise RuntimeError("no call is being served here")
    return context


def current_or_none() -> CallContext | None:
    """The call that is being served, or None in background work."""
    return _current.get()


@contextmanager
def use(context: CallContext) -> Iterator[CallContext]:
    """Serves `context` for the length of the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def enter(context: CallContext) -> None:
    """Replaces the current context for the rest of the task: interceptors learn about a call step by step."""
    _current.set(context)
