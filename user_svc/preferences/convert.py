"""Preferences between their messages and models."""

from collections.abc import Iterable

from clarion.channel.v1 import channel_pb2
from clarion.user.v1 import policy_pb2, preference_page_service_pb2, preference_pb2
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from user_svc.fields import check_word
from user_svc.preferences.models import Channel, Choice, PreferenceChanges, PreferenceRule, Preferences
from user_svc.preferences.quiet_hours import OFF, QuietHours, quiet_hours_of

CHANNELS = {
    channel_pb2.CHANNEL_UNSPECIFIED: Channel.ANY,
    channel_pb2.CHANNEL_EMAIL: Channel.EMAIL,
    channel_pb2.CHANNEL_PUSH: Channel.PUSH,
}
CHANNEL_VALUES = {channel: value for value, channel in CHANNELS.items()}
_CHOICES = {
    preference_pb2.CHOICE_ALLOW: Choice.ALLOW,
    preference_pb2.CHOICE_DENY: Choice.DENY,
    preference_pb2.CHOICE_INHERIT: Choice.INHERIT,
}
_CHOICE_VALUES = {choice: value for value, choice in _CHOICES.items()}


def preferences_to_proto(preferences: Preferences) -> preference_pb2.Preferences:
    return preference_pb2.Preferences(
        user_id=preferences.user_id,
        rules=map(rule_to_proto, preferences.rules),
        update_time=to_timestamp(preferences.update_time),
        etag=preferences.etag,
        quiet_hours=quiet_hours_to_proto(preferences.quiet_hours),
    )


def preference_changes_from_proto(request: preference_pb2.UpdatePreferencesRequest) -> PreferenceChanges:
    """Raises InvalidArgument for a number that stands for no channel or choice, and for quiet hours that are none."""
    if request.HasField("quiet_hours") and request.inherit_quiet_hours:
        raise InvalidArgument.of("inherit_quiet_hours", "goes without quiet_hours")
    rules = rules_from_proto("rules", request.rules)
    return PreferenceChanges(rules, quiet_hours_from_proto("quiet_hours", request), request.inherit_quiet_hours)


def rule_to_proto(rule: PreferenceRule) -> preference_pb2.PreferenceRule:
    return preference_pb2.PreferenceRule(
        channel=CHANNEL_VALUES[rule.channel], category=rule.category, choice=_CHOICE_VALUES[rule.choice], template=rule.template
    )


def rules_from_proto(field: str, rules: Iterable[preference_pb2.PreferenceRule]) -> list[PreferenceRule]:
    """Raises InvalidArgument for a number that stands for no channel or choice."""
    return [_rule(f"{field}[{index}]", rule) for index, rule in enumerate(rules)]


def quiet_hours_to_proto(hours: QuietHours | None) -> preference_pb2.QuietHours | None:
    if hours is None:
        return None
    if hours == OFF:
        return preference_pb2.QuietHours(off=True)
    return preference_pb2.QuietHours(start=f"{hours.start:%H:%M}", end=f"{hours.end:%H:%M}")


def quiet_hours_from_proto(
    field: str,
    holder: preference_pb2.UpdatePreferencesRequest | policy_pb2.DeliveryPolicy | preference_page_service_pb2.SavePreferencePageRequest,
) -> QuietHours | None:
    """None where there are none. Raises InvalidArgument."""
    if not holder.HasField("quiet_hours"):
        return None
    given = holder.quiet_hours
    return quiet_hours_of(field, start=given.start, end=given.end, off=given.off)


def _rule(path: str, rule: preference_pb2.PreferenceRule) -> PreferenceRule:
    if rule.channel not in CHANNELS:
        raise InvalidArgument.of(f"{path}.channel", "must be email or push, or absent for both")
    if rule.choice not in _CHOICES:
        raise InvalidArgument.of(f"{path}.choice", "must be allow, deny or inherit")
    if rule.category and rule.template:
        raise InvalidArgument.of(path, "is about a category or a template, not both")
    if rule.template:
        check_word(f"{path}.template", rule.template)
    return PreferenceRule(CHANNELS[rule.channel], rule.category, _CHOICES[rule.choice], rule.template)
