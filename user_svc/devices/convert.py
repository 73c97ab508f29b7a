"""Devices between their messages and models."""

from clarion.user.v1 import device_pb2
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from user_svc.devices.models import Device, Platform

_PLATFORMS = {
    device_pb2.PLATFORM_UNSPECIFIED: Platform.UNSPECIFIED,
    device_pb2.PLATFORM_ANDROID: Platform.ANDROID,
    device_pb2.PLATFORM_IOS: Platform.IOS,
    device_pb2.PLATFORM_WEB: Platform.WEB,
}
_PLATFORM_VALUES = {platform: value for value, platform in _PLATFORMS.items()}
# Enough to distinguish two devices of a person, of no use to send with.
_SUFFIX_LENGTH = 6


def device_to_proto(device: Device) -> device_pb2.Device:
    """Without the token, which is never returned."""
    message = device_pb2.Device(
        id=device.id,
        user_id=device.user_id,
        platform=_PLATFORM_VALUES[device.platform],
        token_suffix=device.token[-_SUFFIX_LENGTH:] if len(device.token) > 4 * _SUFFIX_LENGTH else "",
        create_time=to_timestamp(device.create_time),
        last_seen_time=to_timestamp(device.last_seen_time),
        app=device.app,
        remove_reason=device.remove_reason,
    )
    if device.remove_time is not None:
        message.remove_time.CopyFrom(to_timestamp(device.remove_time))
    return message


def platform_from_proto(value: "device_pb2.Platform.ValueType") -> Platform:
    """Raises InvalidArgument for a number that stands for no platform."""
    if value not in _PLATFORMS:
        raise InvalidArgument.of("platform", "must be android, ios or web")
    return _PLATFORMS[value]
