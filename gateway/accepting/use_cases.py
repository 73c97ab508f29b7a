"""The rules of accepting a notification: who may, what is asked, whether it may go on, and that it is stored exactly once."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from gateway.accepting import errors
from gateway.accepting.attachments import check_attachments
from gateway.accepting.bounds import check_address_bound, check_category_bound, check_template_bound
from gateway.accepting.canary import tried_version
from gateway.accepting.limits import AdmissionDecision, Answer, Ask, Claim
from gateway.accepting.models import (
    Acceptance,
    Addressee,
    AttachedFile,
    Draft,
    Reached,
    Record,
    Row,
    TemplateKey,
    TemplateSummary,
    metadata_text,
)
from gateway.accepting.sizes import may_exceed
from gateway.notifications.models import Channel, Status
from mesh.context import CallContext, Caller, CallerKind, current
from mesh.errors import InvalidArgument, PermissionDenied, Unavailable
from mesh.idempotency.errors import IdempotencyInProgress, IdempotencyKeyReused
from mesh.idempotency.keys import key_of
from mesh.ids import canonical, new_uuid
from mesh.process.telemetry import traceparent
from naming.account_mails import RESERVED
from naming.bounds import RECIPIENT_DOMAINS
from naming.email_address import check_email
from naming.locales import check_locale
from naming.text import check_name
from naming.time_zones import check_time_zone

SEND_SCOPE = "notifications:send"
_FURTHEST = timedelta(days=90)


class Templates(Protocol):
    """What is known of templates."""

    async def describe(self, key: TemplateKey) -> TemplateSummary | None:
        """The template, or None when there is none. Raises Unavailable when that can't be found out."""


class Users(Protocol):
    """Who exists."""

    async def find(self, project: str, reference: str) -> str | None:
        """Our id of the project's person who has this id, ours or the project's own. Raises Unavailable when that can't be found out."""

    async def find_addressee(self, project: str, addressee: Addressee) -> Reached | None:
        """The user who has the address or device; None when no one has. Raises Unavailable when that can't be found out."""

    async def ensure(self, project: str, addressee: Addressee) -> Reached:
        """The user who has the address or device, made where there is none. Raises Unavailable when that can't be done."""


class Zones(Protocol):
    """Where people are."""

    async def zone_of(self, user_id: str, channel: Channel) -> str:
        """The IANA time zone of a person, by our id. Raises Unavailable when that can't be found out."""


class Files(Protocol):
    """The files that mails carry."""

    async def keep(
        self, project: str, notification_id: UUID, user_id: str, files: Sequence[AttachedFile], wait: timedelta
    ) -> tuple[AttachedFile, ...]:
        """With the id under which each is kept for a notification that begins after `wait`. Raises InvalidArgument or Unavailable."""


class Texts(Protocol):
    """What would be sent."""

    async def check_size(self, draft: Draft, template: TemplateSummary) -> None:
        """Raises TextTooLarge for a text that no provider would carry. Never fails otherwise: what is unknown now shows at delivery."""


class Payload(Protocol):
    """Serializes a new notification for the bus."""

    def __call__(
        self,
        draft: Draft,
        identifier: str,
        template: TemplateSummary,
        *,
        accepted: datetime,
        correlation_id: str,
        traceparent: str,
        test: bool,
    ) -> bytes:
        """The serialized delivery of its first attempt."""


class AdmissionControl(Protocol):
    """Idempotency claims and rate limits."""

    @property
    def policy_header(self) -> str:
        """The RateLimit-Policy header."""

    async def admit(self, ask: Ask) -> AdmissionDecision:
        """Whether the request may go on. Never fails."""

    async def release(self, ask: Ask) -> None:
        """Gives back what an admitted request took that came to nothing."""

    def complete(self, done: Sequence[tuple[Claim, bytes]]) -> None:
        """Stores responses to replay."""


class Store(Protocol):
    """Where notifications are committed."""

    async def store(self, row: Row) -> Record | None:
        """None once it is committed; the record that stands in its way when its idempotency key was used before."""

    async def find(self, digest: bytes) -> Record | None:
        """The record of an idempotency key."""


_UNCOUNTED = {Answer.REPLAY, Answer.IN_PROGRESS, Answer.MISMATCH}  # these take no turn in a limit, and hear nothing of it


class Key(NamedTuple):
    """An idempotency key as the caller gave it, and what was asked under it."""

    text: str
    fingerprint: bytes


class Sender:
    """Accepts notifications. `lease_s` is the time that this process has for publishing before a sweeper takes over.

    `now` is the clock that all gateways and workers share.
    """

    def __init__(
        self,
        *,
        templates: Templates,
        users: Users,
        zones: Zones,
        texts: Texts,
        files: Files,
        admission: AdmissionControl,
        store: Store,
        payload: Payload,
        lease_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._templates = templates
        self._users = users
        self._zones = zones
        self._texts = texts
        self._files = files
        self._admission = admission
        self._store = store
        self._payload = payload
        self._lease = timedelta(seconds=lease_s)
        self._now = now

    async def send(self, draft: Draft, key: Key | None, *, report: bool = True) -> Acceptance:
        """Accepts a notification, or answers what was accepted before under the same key. `report` sets the response headers."""
        call = current()
        confined_to = call.caller.confined_to(SEND_SCOPE)
        if confined_to is not None and confined_to != canonical(draft.user_id):
            raise PermissionDenied("you may send notifications to yourself only")
        now = self._now()
        check_draft(draft, now)
        check_not_reserved(call.caller, draft.template)
        draft = draft._replace(attachments=check_attachments(draft.attachments)) if draft.attachments else draft
        check_template_bound(call.caller, draft.template)
        draft = draft._replace(recipient_domains=call.caller.bound(RECIPIENT_DOMAINS))
        caller = call.caller.label
        claim = None if key is None else claim_of(caller, key)
        if canonical(draft.user_id) != draft.user_id:
            # who was meant may be gone by now, and a repetition makes no one again
            if claim is not None and (standing := await self._store.find(claim.digest)) is not None:
                return _replay(standing.response, same=standing.fingerprint == claim.fingerprint, call=call, report=report)
            draft = await self._known(call.caller, draft)
        else:
            draft = await self._by_our_id(call.caller.project, draft)
        ask = Ask(caller, f"{draft.user_id or _unknown(call.caller.project, draft.to)}:{draft.channel.key}", claim)
        decision = await self._admission.admit(ask)
        if report:
            call.set_header("ratelimit-policy", self._admission.policy_header)
            if decision.answer not in _UNCOUNTED:
                call.set_header("ratelimit", decision.limit.report(decision.remaining, decision.reset_us))
        if decision.answer is not Answer.ADMITTED:
            return await self._refused(decision, claim, call, report=report)
        try:
            row = await self._row(draft, claim, call, caller, now)
            standing = await self._store.store(row)
        except BaseException:
            await self._admission.release(ask)
            raise
        if standing is not None and claim is not None:
            await self._admission.release(ask)
            # Redis had lost the key: teach it again
            self._admission.complete([(Claim(claim.digest, standing.fingerprint, b""), standing.response)])
            return _replay(standing.response, same=standing.fingerprint == claim.fingerprint, call=call, report=report)
        return Acceptance(row.id, Status(row.status), row.create_time)

    async def accepted_before(self, key: Key) -> Acceptance | None:
        """What was accepted under this key; None for a key that is new. Raises IdempotencyKeyReused."""
        call = current()
        standing = await self._store.find(claim_of(call.caller.label, key).digest)
        return (
            None if standing is None else _replay(standing.response, same=standing.fingerprint == key.fingerprint, call=call, report=True)
        )

    async def _known(self, caller: Caller, draft: Draft) -> Draft:
        """With our id of the person, so that another name is no second rate limit of theirs; with none where an address is no one's yet."""
        if draft.to is None:
            return draft._replace(user_id=await self._existing(caller.project, draft.user_id))
        addressee = check_addressee(draft.to)
        check_address_bound(caller, addressee)
        found = await self._users.find_addressee(caller.project, addressee)
        return draft._replace(to=addressee) if found is None else draft._replace(to=addressee, **found._asdict())

    async def _by_our_id(self, project: str, draft: Draft) -> Draft:
        """The same for what looks like an id of ours, and may be the project's own. Who is gone may have got something under this key."""
        try:
            found = await self._users.find(project, draft.user_id)
        except Unavailable:
            return draft
        return draft if found is None else draft._replace(user_id=found)

    async def _existing(self, project: str, reference: str) -> str:
        """Our id of the person. Raises InvalidArgument or Unavailable."""
        found = await self._users.find(project, reference)
        if found is None:
            raise errors.UserNotFound.of("user_id", errors.NO_SUCH_USER)
        return found

    async def _refused(self, decision: AdmissionDecision, claim: Claim | None, call: CallContext, *, report: bool) -> Acceptance:
        if decision.answer is Answer.REPLAY:
            return _replay(decision.response, same=True, call=call, report=report)
        if decision.answer is Answer.MISMATCH:
            raise IdempotencyKeyReused
        if decision.answer is Answer.IN_PROGRESS and claim is not None:
            # it may have ended, or its process may have died, without Redis hearing of it
            standing = await self._store.find(claim.digest)
            if standing is None:
                raise IdempotencyInProgress
            return _replay(standing.response, same=standing.fingerprint == claim.fingerprint, call=call, report=report)
        kind = errors.CallerLimited if decision.answer is Answer.CALLER_LIMITED else errors.RateLimited
        raise kind(decision.limit, decision.retry_after_us / 1e6)

    async def _row(self, draft: Draft, claim: Claim | None, call: CallContext, caller: str, now: datetime) -> Row:
        project = call.caller.project
        template = await self._templates.describe(TemplateKey(project, draft.template))
        template = check_template(draft, template)
        check_category_bound(call.caller, draft.category, template.category)
        if draft.user_id:
            draft = draft._replace(user_id=await self._existing(project, draft.user_id))
        identifier = new_uuid()
        template = await self._version(draft, template, str(identifier))
        if not draft.user_id and draft.to is not None:
            draft = draft._replace(**(await self._users.ensure(project, draft.to))._asdict())
        draft = await self._timed(draft, now)
        if draft.attachments:
            wait = max(timedelta(0), (draft.send_at or now) - now)
            files = await self._files.keep(project, identifier, draft.user_id, draft.attachments, wait)
            draft = draft._replace(attachments=files)
        scheduled = draft.send_at is not None and draft.send_at > now
        status = Status.SCHEDULED if scheduled else Status.PENDING
        dispatch_at = draft.send_at if scheduled and draft.send_at is not None else now + self._lease
        payload = self._payload(
            draft,
            str(identifier),
            template,
            accepted=now,
            correlation_id=call.correlation_id,
            traceparent=traceparent(),
            test=call.caller.test,
        )
        return Row(
            id=identifier,
            project=project,
            test=call.caller.test,
            user_id=UUID(draft.user_id),
            channel=draft.channel,
            template=draft.template,
            template_version=template.published_version,
            locale=draft.locale,
            priority=draft.priority,
            category=draft.category or template.category,
            status=status,
            metadata=metadata_text(draft.metadata),
            create_time=now,
            send_at=draft.send_at,
            expires_at=draft.expires_at,
            dispatch_at=dispatch_at,
            caller=caller,
            correlation_id=call.correlation_id,
            payload=payload,
            resent_from=draft.resent_from,
            digest=None if claim is None else claim.digest,
            fingerprint=None if claim is None else claim.fingerprint,
            response=None if claim is None else Acceptance(identifier, status, now).pack(),
        )

    async def _version(self, draft: Draft, template: TemplateSummary, identifier: str) -> TemplateSummary:
        """The template with the version that the notification gets. Raises TextTooLarge.

        What does not fit a version that is only tried gets the published one: a trial refuses nothing that would be accepted without it.
        """
        tried = tried_version(template, identifier, draft.user_id)
        if tried is not None:
            try:
                await self._check_size(draft, check_template(draft, tried))
            except InvalidArgument:
                tried = None
        if tried is None:
            await self._check_size(draft, template)
        return tried or template

    async def _check_size(self, draft: Draft, template: TemplateSummary) -> None:
        if template.size is not None and may_exceed(template.size, draft.variables):
            await self._texts.check_size(draft, template)

    async def _timed(self, draft: Draft, now: datetime) -> Draft:
        """With the moment that a local time is for its person. Raises InvalidArgument or Unavailable."""
        if draft.send_at_local is None:
            return draft
        zone = await self._zones.zone_of(draft.user_id, draft.channel)
        timed = draft._replace(send_at=draft.send_at_local.moment(zone, now))
        check_times(timed, now, "send_at_local")
        return timed


def _unknown(project: str, to: Addressee | None) -> str:
    """What stands in a rate limit for a person whose address is no user's yet: not the address, which is personal."""
    return "" if to is None else hashlib.sha256(f"{project}\n{to.key}".encode()).hexdigest()[:32]


def choose_key(header: str, request_id: str) -> str:
    """The idempotency key out of its two places; empty when there is none. Raises InvalidArgument when they differ or can't be a key."""
    bare = key_of(header) if header else ""
    if bare and request_id and bare != request_id:
        raise InvalidArgument.of("request_id", "differs from the Idempotency-Key header")
    return bare or request_id


def claim_of(caller: str, key: Key) -> Claim:
    """The claim on a key; keys of different callers never meet."""
    digest = hashlib.sha256(f"SendNotification\n{caller}\n{key.text}".encode()).digest()
    return Claim(digest, key.fingerprint, new_uuid().bytes)


def check_draft(draft: Draft, now: datetime) -> None:
    """Raises InvalidArgument for what the schema can't say."""
    if draft.user_id and draft.to is not None:
        raise InvalidArgument.of("to", "goes without user_id: one of them says whom it is for")
    if draft.to is not None:
        _check_reaches(draft.to, draft.channel)
    if draft.attachments and draft.channel is not Channel.EMAIL:
        raise InvalidArgument.of("attachments", "only e-mail carries files; leave them out")
    if draft.send_at_local is not None and draft.send_at is not None:
        raise InvalidArgument.of("send_at_local", "goes without send_at: one of them says when")
    check_times(draft, now, "send_at")
    if draft.locale:
        check_locale("locale", draft.locale)
    for name, value in draft.metadata.items():
        if "\0" in name or "\0" in value or len(name) > 64:
            raise InvalidArgument.of("metadata", "names have at most 64 characters, and no NUL may occur")


def check_not_reserved(caller: Caller, template: str) -> None:
    """Raises TemplateNotFound for a mail about an account, which none but this service itself sends."""
    if template.startswith(RESERVED) and caller.kind is not CallerKind.SERVICE:
        raise errors.TemplateNotFound.of("template", "there is no such template")


def check_times(draft: Draft, now: datetime, field: str) -> None:
    """Raises InvalidArgument for times that are too far away, over, or the wrong way round. `field` says when it is to be sent."""
    check_send_at(draft.send_at, now, field)
    if draft.expires_at is not None:
        if draft.expires_at <= now:
            raise InvalidArgument.of("expires_at", "must be in the future")
        if draft.send_at is not None and draft.expires_at <= draft.send_at:
            raise InvalidArgument.of("expires_at", f"must be after {field}")


def check_send_at(send_at: datetime | None, now: datetime, field: str = "send_at") -> None:
    """Raises InvalidArgument for a time that is too far away."""
    if send_at is not None and send_at > now + _FURTHEST:
        raise InvalidArgument.of(field, f"must be at most {_FURTHEST.days} days ahead")


def _check_reaches(to: Addressee, channel: Channel) -> None:
    if to.email and to.device_token:
        raise InvalidArgument.of("to.device_token", "goes without email: one of them says where to")
    if to.email and channel is not Channel.EMAIL:
        raise InvalidArgument.of("to", "is an e-mail address: the channel must be email")
    if to.device_token and channel is not Channel.PUSH:
        raise InvalidArgument.of("to", "is a device: the channel must be push")


def check_addressee(to: Addressee) -> Addressee:
    """The addressee in the form in which it is kept. Raises InvalidArgument."""
    return to._replace(
        email=check_email("to.email", to.email) if to.email else "",
        name=check_name("to.name", to.name),
        locale=check_locale("to.locale", to.locale) if to.locale else "",
        timezone=check_time_zone("to.timezone", to.timezone) if to.timezone else "",
    )


def check_template(draft: Draft, template: TemplateSummary | None) -> TemplateSummary:
    """The template, when the draft fits it. Raises InvalidArgument with the field that does not, or TemplateArchived."""
    template = check_published(draft.template, template)
    if template.channel != draft.channel:
        raise errors.ChannelMismatch.of("channel", f"the template is for {template.channel.key}")
    given = draft.variables.fields
    # a null counts as not given, which a rendering would find out only after the 202
    missing = [name for name in template.required_variables if name not in given or given[name].HasField("null_value")]
    schema = template.variables_schema
    wrong = schema.violations("variables", draft.plain_variables()) if schema is not None else []
    if missing:
        raise errors.MissingVariable(missing, wrong)
    if wrong:
        raise errors.InvalidVariables(wrong)
    return template


def check_published(name: str, template: TemplateSummary | None) -> TemplateSummary:
    """The template, when it can be sent. Raises InvalidArgument, TemplateArchived."""
    if template is None:
        raise errors.TemplateNotFound.of("template", "there is no such template")
    if template.archived:
        raise errors.TemplateArchived(name)
    if template.published_version == 0:
        raise errors.TemplateNotPublished.of(
            "template", f"has no published version; publish one with POST /v1/templates/{name}/versions/{{version}}:publish"
        )
    return template


def _replay(response: bytes, *, same: bool, call: CallContext, report: bool) -> Acceptance:
    if not same:
        raise IdempotencyKeyReused
    if report:
        call.set_header("idempotency-replayed", "true")
    return Acceptance.unpack(response)
