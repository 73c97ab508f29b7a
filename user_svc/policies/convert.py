"""Policies and categories between their messages and models."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from clarion.user.v1 import policy_pb2
from clarion.user.v1 import policy_service_pb2 as rpc
from mesh.errors import InvalidArgument
from mesh.rpc.masks import masked_fields
from mesh.rpc.timestamps import to_timestamp
from naming.locales import check_locale
from naming.text import check_name, check_text
from user_svc.policies.models import LONGEST_WINDOW, Category, CategoryText, DeliveryPolicy, FrequencyLimit
from user_svc.preferences.convert import quiet_hours_from_proto, quiet_hours_to_proto, rule_to_proto, rules_from_proto

_LEAST_WINDOW = timedelta(minutes=1)
_UNWRITTEN = datetime.min.replace(tzinfo=UTC)


def policy_to_proto(policy: DeliveryPolicy) -> policy_pb2.DeliveryPolicy:
    return policy_pb2.DeliveryPolicy(
        rules=map(rule_to_proto, policy.rules),
        quiet_hours=quiet_hours_to_proto(policy.quiet_hours),
        update_time=to_timestamp(policy.update_time),
        etag=policy.etag,
    )


def policy_change_from_proto(request: rpc.UpdateDeliveryPolicyRequest) -> Callable[[DeliveryPolicy], DeliveryPolicy]:
    """What the mask names (AIP-134) as a change. Raises InvalidArgument."""
    given = request.policy
    fields = masked_fields(request.update_mask, given, ("rules", "quiet_hours"))
    rules = tuple(rules_from_proto("policy.rules", given.rules))
    hours = quiet_hours_from_proto("policy.quiet_hours", given)
    if hours is not None and given.quiet_hours.off:
        raise InvalidArgument.of("policy.quiet_hours.off", "is for people; a project without quiet hours has none in its policy")
    changed = {"rules": rules, "quiet_hours": hours}
    values = {name: value for name, value in changed.items() if name in fields}
    return lambda policy: replace(policy, **values)  # type: ignore[arg-type]  # each field has its own type


def category_to_proto(category: Category) -> policy_pb2.Category:
    message = policy_pb2.Category(
        id=category.id,
        texts={locale: policy_pb2.CategoryText(name=words.name, description=words.description) for locale, words in category.texts.items()},
        mandatory=category.mandatory,
        create_time=to_timestamp(category.create_time),
        update_time=to_timestamp(category.update_time),
        etag=category.etag,
    )
    if category.limit is not None:
        message.limit.count = category.limit.count
        message.limit.window.FromTimedelta(category.limit.window)
    return message


def category_from_proto(category: policy_pb2.Category) -> Category:
    """Raises InvalidArgument."""
    if not category.id:
        raise InvalidArgument.of("category.id", "is required")
    return Category(category.id, _texts(category.texts), category.mandatory, _limit(category), _UNWRITTEN, _UNWRITTEN)


def category_change_from_proto(request: rpc.UpdateCategoryRequest) -> Callable[[Category], Category]:
    """What the mask names (AIP-134) as a change. Raises InvalidArgument."""
    given = request.category
    fields = masked_fields(request.update_mask, given, ("texts", "mandatory", "limit"))
    changed = {"texts": _texts(given.texts), "mandatory": given.mandatory, "limit": _limit(given)}
    values = {name: value for name, value in changed.items() if name in fields}
    return lambda category: replace(category, **values)  # type: ignore[arg-type]  # each field has its own type


def _texts(texts: Mapping[str, policy_pb2.CategoryText]) -> dict[str, CategoryText]:
    found: dict[str, CategoryText] = {}
    for tag, words in texts.items():
        field = f"category.texts.{tag}"
        locale = check_locale(field, tag)
        if locale in found:
            raise InvalidArgument.of(field, f"is the same locale as another one: {locale}")
        found[locale] = CategoryText(check_name(f"{field}.name", words.name), check_text(f"{field}.description", words.description))
    return found


def _limit(category: policy_pb2.Category) -> FrequencyLimit | None:
    if not category.HasField("limit"):
        return None
    given = category.limit.window
    # compared as numbers: over gRPC it may be longer than a timedelta
    if given.nanos or not _LEAST_WINDOW.total_seconds() <= given.seconds <= LONGEST_WINDOW.total_seconds():
        raise InvalidArgument.of(
            "category.limit.window", f"must be whole seconds, 1 minute to {LONGEST_WINDOW.days} days, such as 86400s for a day"
        )
    return FrequencyLimit(category.limit.count, timedelta(seconds=given.seconds))
