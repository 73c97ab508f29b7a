"""What would become of a notification as far as its person is concerned: the question of the workers, asked before there is one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from clarion.channel.v1 import channel_pb2
from clarion.user.v1.recipient_service_pb2 import Recipient, RecipientQuery
from delivery.models import Recipients
from gateway.accepting import errors
from gateway.accepting.bounds import check_category_bound, check_template_bound
from gateway.accepting.models import TemplateKey
from gateway.accepting.use_cases import SEND_SCOPE, Templates, Users, check_published, check_send_at
from gateway.notifications.models import Channel, Priority
from mesh.context import Caller
from mesh.errors import PermissionDenied, ServiceError
from mesh.ids import canonical
from naming.bounds import RECIPIENT_DOMAINS


class Question(NamedTuple):
    """A notification that there is not. `user_id` is whatever was given as one; `send_at` None stands for now."""

    user_id: str
    template: str
    priority: Priority
    category: str
    send_at: datetime | None


class Answer(NamedTuple):
    """user_svc's answer, and what was asked about."""

    recipient: Recipient
    channel: Channel
    category: str
    at: datetime


class Evaluation:
    """Asks template_svc what the template is and user_svc for the decision."""

    def __init__(
        self, *, templates: Templates, users: Users, recipients: Recipients, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._templates = templates
        self._users = users
        self._recipients = recipients
        self._now = now

    async def evaluate(self, caller: Caller, question: Question) -> Answer:
        """Raises InvalidArgument where a send would, PermissionDenied, or Unavailable."""
        if (own := caller.confined_to(SEND_SCOPE)) is not None and own != canonical(question.user_id):
            raise PermissionDenied("you may ask about yourself only")
        now = self._now()
        check_send_at(question.send_at, now)
        check_template_bound(caller, question.template)
        template = check_published(question.template, await self._templates.describe(TemplateKey(caller.project, question.template)))
        check_category_bound(caller, question.category, template.category)
        user_id = await self._users.find(caller.project, question.user_id)
        if user_id is None:
            raise errors.UserNotFound.of("user_id", errors.NO_SUCH_USER)
        query = RecipientQuery(
            user_id=user_id,
            channel=channel_pb2.Channel.ValueType(template.channel),
            category=question.category or template.category,
            mandatory=template.mandatory,
            template=question.template,
            urgent=question.priority is Priority.HIGH,
            test=caller.test,
            recipient_domains=caller.bound(RECIPIENT_DOMAINS),
        )
        at = max(question.send_at or now, now)  # as a send does, a past time means at once
        query.at.FromDatetime(at)
        [answer] = await self._recipients.resolve([query])
        if isinstance(answer, ServiceError):
            raise answer
        return Answer(answer, template.channel, query.category, at)
