"""Why a notification is not accepted."""

from collections.abc import Sequence

from gateway.accepting.limits import RateLimit
from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable

_SHOWN = 5
NO_SUCH_USER = (
    "no user has this id; it is the `id` that CreateUser answered or the user's `external_id`, and ListUsers finds both by e-mail address"
)


class RateLimited(ResourceExhausted):
    """More requests than the limit allows."""

    reason = "RATE_LIMITED"

    def __init__(self, limit: RateLimit, retry_after_s: float) -> None:
        message = f"more than {limit.limit} notifications in {limit.window_s} s for this {limit.name}"
        super().__init__(message, retry_after_s=retry_after_s, quota=limit.name)
        self.limit = limit


class CallerLimited(RateLimited):
    """More requests than this caller may make."""


class KeyRestricted(PermissionDenied):
    """The key is narrowed to other templates, categories or domains."""

    reason = "KEY_RESTRICTED"

    def __init__(self, field: str, kind: str, allowed: Sequence[str]) -> None:
        shown = ", ".join(allowed[:_SHOWN]) + (f" and {len(allowed) - _SHOWN} more" if len(allowed) > _SHOWN else "")
        super().__init__(f"{field}: this API key is narrowed to the {kind} {shown}", metadata={"field": field})


class TemplateNotFound(InvalidArgument):
    reason = "TEMPLATE_NOT_FOUND"


class TemplateNotPublished(InvalidArgument):
    reason = "TEMPLATE_NOT_PUBLISHED"


class TemplateArchived(FailedPrecondition):
    """The template is out of use."""

    reason = "TEMPLATE_ARCHIVED"

    def __init__(self, name: str) -> None:
        description = f"is archived; send another template, or restore this one with POST /v1/templates/{name}:restore"
        super().__init__(f"template: {description}", violations=[FieldViolation("template", description)])


class ChannelMismatch(InvalidArgument):
    reason = "CHANNEL_MISMATCH"


class UserNotFound(InvalidArgument):
    reason = "USER_NOT_FOUND"


class MissingVariable(InvalidArgument):
    """Variables that the template needs are not given; `wrong` is what its schema finds of all of them."""

    reason = "MISSING_VARIABLE"

    def __init__(self, names: list[str], wrong: Sequence[FieldViolation] = ()) -> None:
        violations = [FieldViolation(f"variables.{name}", "is required by the template") for name in names]
        said = {violation.field for violation in violations}
        others = [violation for violation in wrong if violation.field not in said]
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"variables: the template needs {', '.join(names)}{more}", violations=[*violations, *others])


class InvalidVariables(InvalidArgument):
    """The variables do not keep to the template's schema."""

    reason = "INVALID_VARIABLES"

    def __init__(self, violations: list[FieldViolation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}, by the template's schema{more}", violations=violations)


class TextTooLarge(InvalidArgument):
    """With these variables the text is larger than its channel carries."""

    reason = "TEXT_TOO_LARGE"

    def __init__(self, place: str, problem: str) -> None:
        description = f"{place} of the template {problem}; shorten the values or the template"
        super().__init__(f"variables: {description}", violations=[FieldViolation("variables", description)])


class PeerUnavailable(Unavailable):
    """A service that must be asked before accepting is down, and nothing cached may stand in."""

    reason = "DEPENDENCY_UNAVAILABLE"

    def __init__(self, what: str, retry_after_s: float = 1.0) -> None:
        super().__init__(f"{what} can't be checked at the moment", retry_after_s=retry_after_s)
