"""What the gateway asks user_svc and template_svc before it accepts: batched, cached for seconds, and from memory while they are down."""

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Generic, TypeVar

import grpc.aio

from clarion.template.v1.render_service_pb2 import BatchDescribeTemplatesRequest
from clarion.template.v1.render_service_pb2 import CanarySummary as CanaryMessage
from clarion.template.v1.render_service_pb2 import TemplateSummary as SummaryMessage
from clarion.template.v1.render_service_pb2_grpc import RenderServiceStub
from clarion.user.v1.recipient_service_pb2 import BatchCheckUsersRequest, BatchEnsureUsersRequest, NewUser
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from delivery.clients import in_parts
from gateway.accepting.errors import PeerUnavailable
from gateway.accepting.models import Address, Addressee, Canary, Reached, TemplateKey, TemplateSummary, TextSize, UserReference
from gateway.notifications.models import Channel
from mesh import context
from mesh.context import CallContext
from mesh.errors import Code, ServiceError
from mesh.json_schema import JsonSchema
from mesh.resilience.batching import Batcher

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

_MAX_TEMPLATES = 200
_MAX_USERS = 500
# what the callee may be asked again soon, and what a deadline of ours cut off, says nothing about the question
_AWAY = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.CANCELLED}


class Remembered(Generic[K, V]):
    """Positive answers for `fresh_s`, and for `stale_s` while the service is down. The least recently learned are forgotten first."""

    def __init__(self, *, fresh_s: float, stale_s: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._size = size
        self._clock = clock
        self._answers: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def fresh(self, key: K) -> V | None:
        """The answer, when it is new enough to be believed."""
        return self._within(key, self._fresh_s)

    def stale(self, key: K) -> V | None:
        """The answer, when it is better than none."""
        return self._within(key, self._stale_s)

    def learn(self, key: K, answer: V | None) -> None:
        """Keeps a positive answer; None forgets the one before."""
        if answer is None:
            self._answers.pop(key, None)
            return
        self._answers[key] = (self._clock(), answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)

    def forget(self, gone: Callable[[V], bool]) -> None:
        """Forgets such answers to whichever questions."""
        for key in [key for key, (_, known) in self._answers.items() if gone(known)]:
            del self._answers[key]

    async def ask(self, question: Callable[[K], Awaitable[V | None]], key: K, what: str) -> V | None:
        """The answer to a question, or the one remembered while the service is down. Raises PeerUnavailable when there is none."""
        try:
            return await question(key)
        except ServiceError as error:
            if error.code not in _AWAY:
                raise
            answer = self.stale(key)
            if answer is None:
                # a breaker's pause may be long, but the callee may be back much sooner
                raise PeerUnavailable(what, min(error.retry_after_s or 1.0, 60.0)) from error
            log.debug("answered from memory", extra={"what": what, "reason": error.reason})
            return answer

    def _within(self, key: K, age_s: float) -> V | None:
        known = self._answers.get(key)
        return known[1] if known is not None and self._clock() - known[0] <= age_s else None


class TemplateClient:
    """Describes templates. What does not exist is asked for again each time, since it may exist a moment later."""

    def __init__(self, channel: grpc.aio.Channel, *, fresh_s: float, stale_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stub: Any = RenderServiceStub(channel)
        self._known: Remembered[TemplateKey, TemplateSummary] = Remembered(fresh_s=fresh_s, stale_s=stale_s, size=10_000, clock=clock)
        self._keys: Batcher[TemplateKey, TemplateSummary | None] = Batcher(
            self._ask, max_items=_MAX_TEMPLATES, max_concurrent=2, name="templates"
        )

    async def describe(self, key: TemplateKey) -> TemplateSummary | None:
        """The template, or None when there is none. Raises PeerUnavailable."""
        known = self._known.fresh(key)
        return known if known is not None else await self._known.ask(self._keys.submit, key, "the template")

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._keys.close()

    async def _ask(self, keys: Sequence[TemplateKey]) -> Sequence[TemplateSummary | None]:
        _detach()
        wanted = list(dict.fromkeys(keys))
        request = BatchDescribeTemplatesRequest(names=[key.name for key in wanted], projects=[key.project for key in wanted])
        response = await self._stub.BatchDescribeTemplates(request)
        found = {key: _summary_of(key.project, message) for key, message in zip(wanted, response.summaries, strict=True)}
        for key, summary in found.items():
            # an unpublished or archived template is a negative answer too: its author is about to publish it and try again
            self._known.learn(key, summary if summary is not None and summary.sendable else None)
        return [found[key] for key in keys]


class UserClient:
    """Knows who exists. Who does not is asked for again each time.

    An id of ours never becomes another person's, so that what is remembered of it is believed. The project's own ids and addresses move
    from person to person: those are asked about each time, and answered from memory only while the service is down.
    """

    def __init__(self, channel: grpc.aio.Channel, *, fresh_s: float, stale_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stub: Any = RecipientServiceStub(channel)
        self._known: Remembered[UserReference, str] = Remembered(fresh_s=fresh_s, stale_s=stale_s, size=200_000, clock=clock)
        self._addresses: Remembered[Address, Reached] = Remembered(fresh_s=0.0, stale_s=stale_s, size=200_000, clock=clock)
        self._asked: Batcher[UserReference, str | None] = Batcher(self._ask, max_items=_MAX_USERS, max_concurrent=2, name="users")
        self._ensured: Batcher[tuple[str, Addressee], Reached | None] = Batcher(
            lambda asked: in_parts(self._ensure, asked), max_items=_MAX_USERS, max_concurrent=2, name="addressees"
        )
        self._sought: Batcher[tuple[str, Addressee], Reached | None] = Batcher(
            lambda asked: in_parts(self._seek, asked), max_items=_MAX_USERS, max_concurrent=2, name="sought-addressees"
        )

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own; None when there is none. Raises PeerUnavailable."""
        asked = UserReference(project, reference)
        found = self._known.fresh(asked)
        # what is remembered for longer counts only while the service is down
        return found if found == reference else await self._known.ask(self._asked.submit, asked, "the user")

    async def find_addressee(self, project: str, addressee: Addressee) -> Reached | None:
        """The user who has the address or device; None when no one has. Raises InvalidArgument or PeerUnavailable."""
        return await self._of_address(self._sought, project, addressee)

    async def ensure(self, project: str, addressee: Addressee) -> Reached:
        """The user who has the address or device, made where there is none. Raises InvalidArgument or PeerUnavailable."""
        found = await self._of_address(self._ensured, project, addressee)
        assert found is not None
        return found

    async def _of_address(
        self, asked: Batcher[tuple[str, Addressee], Reached | None], project: str, addressee: Addressee
    ) -> Reached | None:
        address = Address(project, addressee.key)
        found = await self._addresses.ask(lambda _: asked.submit((project, addressee)), address, "the user")
        self._addresses.learn(address, found)
        if found is not None:
            self._known.learn(UserReference(project, found.user_id), found.user_id)
        return found

    def forget(self, user_id: str) -> None:
        """Asks anew the next time: the person is gone."""
        self._known.forget(lambda known: known == user_id)
        self._addresses.forget(lambda known: known.user_id == user_id)

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._asked.close()
        await self._sought.close()
        await self._ensured.close()

    async def _ensure(
        self, asked: Sequence[tuple[str, Addressee]], *, only_existing: bool = False
    ) -> Sequence[Reached | ServiceError | None]:
        _detach()
        users = [NewUser(project=project, **addressee._asdict()) for project, addressee in asked]
        response = await self._stub.BatchEnsureUsers(BatchEnsureUsersRequest(users=users, only_existing=only_existing))
        # a release before this one knows addresses only, and names no devices
        return [Reached(*found) if found[0] else None for found in zip_longest(response.ids, response.device_ids, fillvalue="")]

    async def _seek(self, asked: Sequence[tuple[str, Addressee]]) -> Sequence[Reached | ServiceError | None]:
        return await self._ensure(asked, only_existing=True)

    async def _ask(self, references: Sequence[UserReference]) -> Sequence[str | None]:
        _detach()
        wanted = list(dict.fromkeys(references))
        request = BatchCheckUsersRequest(user_ids=[one.reference for one in wanted], projects=[one.project for one in wanted])
        response = await self._stub.BatchCheckUsers(request)
        found = {
            UserReference(*pair): user_id
            for *pair, user_id in zip(response.projects, response.existing_user_ids, response.ids, strict=True)
        }
        for reference in wanted:
            user_id = found.get(reference)
            self._known.learn(reference, user_id)
            if user_id is not None:
                self._known.learn(UserReference(reference.project, user_id), user_id)
        return [found.get(reference) for reference in references]


def _detach() -> None:
    """A batch serves many calls: it must not inherit the deadline, and the name, of the one that happened to start it."""
    served = context.current_or_none()
    context.enter(CallContext(method="batch", correlation_id=served.correlation_id if served is not None else ""))


@lru_cache(maxsize=1000)
def _schema_of(source: str) -> JsonSchema:
    """Once for all descriptions: to make one may take as long as many sends."""
    return JsonSchema(json.loads(source))


def _summary_of(project: str, message: SummaryMessage) -> TemplateSummary | None:
    if not message.exists:
        return None
    template = TemplateSummary(
        project=project,
        name=message.name,
        channel=Channel(message.channel),
        category=message.category,
        mandatory=message.mandatory,
        on_unknown=message.on_unknown,
        published_version=message.published_version,
        required_variables=tuple(message.required_variables),
        size=_size_of(message),
        variables_schema=_schema_of(message.variables_schema) if message.variables_schema else None,
        archived=message.archived,
    )
    if not message.HasField("canary"):
        return template
    canary = message.canary
    version = template._replace(
        published_version=canary.version,
        required_variables=tuple(canary.required_variables),
        size=_size_of(canary),
        variables_schema=_schema_of(canary.variables_schema) if canary.variables_schema else None,
    )
    return template._replace(canary=Canary(version, canary.percent, canary.by_user))


def _size_of(message: SummaryMessage | CanaryMessage) -> TextSize | None:
    return TextSize(message.size.limit, message.size.fixed, tuple(message.size.paths)) if message.HasField("size") else None
