"""Preferences between their messages and models."""

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import preference_pb2
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from user_svc.preferences.models import Channel, Choice, PreferenceRule, Preferences

CHANNELS = {
    channel_pb2.CHANNEL_UNSPECIFIED: Channel.ANY,
    channel_pb2.CHANNEL_EMAIL: Channel.EMAIL,
    channel_pb2.CHANNEL_PUSH: Channel.PUSH,
}
_CHANNEL_VALUES = {channel: value for value, channel in CHANNELS.items()}
_CHOICES = {
    preference_pb2.CHOICE_ALLOW: Choice.ALLOW,
    preference_pb2.CHOICE_DENY: Choice.DENY,
    preference_pb2.CHOICE_INHERIT: Choice.INHERIT,
}
_CHOICE_VALUES = {choice: value for value, choice in _CHOICES.items()}


def preferences_to_proto(preferences: Preferences) -> preference_pb2.Preferences:
    rules = [
        preference_pb2.PreferenceRule(channel=_CHANNEL_VALUES[rule.channel], category=rule.category, choice=_CHOICE_VALUES[rule.choice])
        for rule in preferences.rules
    ]
    return preference_pb2.Preferences(
        user_id=preferences.user_id, rules=rules, update_time=to_timestamp(preferences.update_time), etag=preferences.etag
    )


def rules_from_proto(request: preference_pb2.UpdatePreferencesRequest) -> list[PreferenceRule]:
    """Raises InvalidArgument for a number that stands for no channel or choice."""
    return [_rule(f"rules[{index}]", rule) for index, rule in enumerate(request.rules)]


def _rule(path: str, rule: preference_pb2.PreferenceRule) -> PreferenceRule:
    if rule.channel not in CHANNELS:
        raise InvalidArgument.of(f"{path}.channel", "must be email or push, or absent for both")
    if rule.choice not in _CHOICES:
        raise InvalidArgument.of(f"{path}.choice", "must be allow, deny or inherit")
    return PreferenceRule(CHANNELS[rule.channel], rule.category, _CHOICES[rule.choice])
