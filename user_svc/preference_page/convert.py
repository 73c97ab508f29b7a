"""The page and the brand between their messages and models."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from math import floor

from clarion.user.v1 import preference_page_pb2
from clarion.user.v1 import preference_page_service_pb2 as rpc
from mesh.errors import InvalidArgument
from mesh.rpc.masks import masked_fields
from mesh.rpc.timestamps import to_timestamp
from naming.text import check_name
from user_svc.preference_page.models import CHANNELS as PAGE_CHANNELS
from user_svc.preference_page.models import Brand, PageCategory, PageChoices, PreferencePage
from user_svc.preferences.convert import CHANNEL_VALUES, CHANNELS, quiet_hours_from_proto, quiet_hours_to_proto

_FIELDS = ("name", "color", "logo", "home_url")
# WCAG 2.2, 1.4.3: what text needs, here white on a button of the brand's colour.
_LEAST_CONTRAST = 4.5
# How files of each kind begin, so that a picture is what it says.
_BEGINNINGS = {"png": (b"\x89PNG\r\n\x1a\n",), "jpeg": (b"\xff\xd8\xff",), "gif": (b"GIF87a", b"GIF89a"), "webp": (b"RIFF",)}


def brand_to_proto(brand: Brand) -> preference_page_pb2.Brand:
    return preference_page_pb2.Brand(
        name=brand.name,
        color=brand.color,
        logo=brand.logo,
        home_url=brand.home_url,
        update_time=to_timestamp(brand.update_time),
        etag=brand.etag,
    )


def brand_change_from_proto(request: rpc.UpdateBrandRequest) -> Callable[[Brand], Brand]:
    """What the mask names (AIP-134) as a change. Raises InvalidArgument."""
    given = request.brand
    fields = masked_fields(request.update_mask, given, _FIELDS)
    check_name("brand.name", given.name)
    if given.color and (contrast := _contrast_with_white(given.color)) < _LEAST_CONTRAST:
        ratio = f"{floor(contrast * 10) / 10} to 1"
        raise InvalidArgument.of(
            "brand.color", f"has a contrast of {ratio} with white; text on it needs {_LEAST_CONTRAST}: give a darker one"
        )
    if given.logo:
        _check_logo(given.logo)
    values = {name: getattr(given, name) for name in _FIELDS if name in fields}
    return lambda brand: replace(brand, **values)


def page_to_proto(page: PreferencePage) -> preference_page_pb2.PreferencePage:
    return preference_page_pb2.PreferencePage(
        locale=page.locale,
        brand=brand_to_proto(page.brand),
        categories=map(_category_to_proto, page.categories),
        quiet_hours=quiet_hours_to_proto(page.quiet_hours),
        timezone=page.timezone,
    )


def choices_from_proto(request: rpc.SavePreferencePageRequest) -> PageChoices:
    """Raises InvalidArgument for quiet hours that are none."""
    wanted = {(choice.category, CHANNELS[choice.channel]): choice.wanted for choice in request.choices if choice.channel in CHANNELS}
    return PageChoices(wanted, quiet_hours_from_proto("quiet_hours", request), request.refuse_mail)


def _category_to_proto(category: PageCategory) -> preference_page_pb2.PageCategory:
    return preference_page_pb2.PageCategory(
        id=category.id,
        name=category.name,
        description=category.description,
        mandatory=category.mandatory,
        channels=[CHANNEL_VALUES[channel] for channel in PAGE_CHANNELS if channel in category.channels],
    )


def _check_logo(uri: str) -> None:
    kind = uri.removeprefix("data:image/").partition(";")[0]
    try:
        picture = base64.b64decode(uri.partition(",")[2], validate=True)
    except binascii.Error:
        raise InvalidArgument.of("brand.logo", "must be in base64 after the comma") from None
    if not picture.startswith(_BEGINNINGS[kind]):
        raise InvalidArgument.of("brand.logo", f"is no {kind} picture, though it says so")


def _contrast_with_white(color: str) -> float:
    """The contrast ratio of WCAG 2.2 between white and a colour like "#1a4fa0", 1 to 21."""
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
