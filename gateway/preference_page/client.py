"""What the page asks user_svc."""

from typing import Any

import grpc.aio

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import preference_page_pb2, preference_pb2
from clarion.user.v1.preference_page_service_pb2 import DescribePreferencePageRequest, SavePreferencePageRequest
from clarion.user.v1.preference_page_service_pb2_grpc import PreferencePageServiceStub
from gateway.preference_page.models import Brand, Category, Choices, Page

_CHANNELS = {channel_pb2.CHANNEL_EMAIL: "email", channel_pb2.CHANNEL_PUSH: "push"}
_VALUES = {name: value for value, name in _CHANNELS.items()}


class PreferencePageClient:
    """Implements `gateway.preference_page.page.Pages`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = PreferencePageServiceStub(channel)

    async def describe(self, token: str) -> Page:
        """Raises NotFound, or Unavailable while user_svc is down."""
        return _page((await self._stub.DescribePreferencePage(DescribePreferencePageRequest(token=token))).page)

    async def save(self, token: str, choices: Choices) -> Page:
        """Raises NotFound, InvalidArgument, or Unavailable while user_svc is down."""
        request = SavePreferencePageRequest(token=token, refuse_mail=choices.refuse_mail)
        for (category, channel), wanted in choices.wanted.items():
            request.choices.add(category=category, channel=_VALUES[channel], wanted=wanted)
        if choices.quiet_hours is not None:
            start, end = choices.quiet_hours
            request.quiet_hours.CopyFrom(preference_pb2.QuietHours(start=start, end=end, off=not (start or end)))
        return _page((await self._stub.SavePreferencePage(request)).page)


def _page(page: preference_page_pb2.PreferencePage) -> Page:
    brand, hours = page.brand, page.quiet_hours
    return Page(
        page.locale,
        page.timezone,
        Brand(brand.name, brand.color, brand.logo, brand.home_url),
        tuple(
            Category(one.id, one.name, one.description, one.mandatory, frozenset(_CHANNELS[value] for value in one.channels))
            for one in page.categories
        ),
        (hours.start, hours.end) if page.HasField("quiet_hours") else None,
    )
