"""The text that a notification would carry, rendered before it is accepted: only for those that may be too large."""

import asyncio

from clarion.channel.v1 import channel_pb2
from clarion.template.v1.render_service_pb2 import RenderItem
from clarion.user.v1.recipient_service_pb2 import RecipientQuery
from delivery.models import Recipients, Renderer
from gateway.accepting.errors import TextTooLarge
from gateway.accepting.models import Draft, TemplateSummary
from mesh.errors import ServiceError

_TOO_LARGE = "OUTPUT_TOO_LARGE"
_TIMEOUT_S = 2.0


class RenderedTexts:
    """Asks user_svc for the person's locale where the sender names none, and template_svc for the text, as the workers do."""

    def __init__(self, recipients: Recipients, renderer: Renderer) -> None:
        self._recipients = recipients
        self._renderer = renderer

    async def check_size(self, draft: Draft, template: TemplateSummary) -> None:
        """See `Texts`: a service that is down or slow holds no notification up."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                locale = draft.locale or await self._locale_of(draft, template)
                item = RenderItem(
                    project=template.project,
                    template=template.name,
                    version=template.published_version,
                    locale=locale,
                    variables=draft.variables,
                )
                [rendered] = await self._renderer.render([item])
        except (ServiceError, TimeoutError):
            return
        if isinstance(rendered, ServiceError) and rendered.reason == _TOO_LARGE and rendered.violations:
            raise TextTooLarge(rendered.violations[0].field, rendered.violations[0].description)

    async def _locale_of(self, draft: Draft, template: TemplateSummary) -> str:
        if draft.to is not None and not draft.user_id:
            return draft.to.locale  # of someone who is a user once this is accepted
        query = RecipientQuery(user_id=draft.user_id, channel=channel_pb2.Channel.ValueType(draft.channel), mandatory=template.mandatory)
        [recipient] = await self._recipients.resolve([query])
        return "" if isinstance(recipient, ServiceError) else recipient.locale
