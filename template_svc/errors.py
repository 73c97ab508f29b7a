"""The errors of template_svc, each with its stable reason."""

from collections.abc import Sequence

from mesh.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from template_svc.models import LocaleReport


class TemplateNotFound(NotFound):
    """There is no template of this name."""

    reason = "TEMPLATE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no template {name!r}")


class VersionNotFound(NotFound):
    """The template has no version of this number."""

    reason = "VERSION_NOT_FOUND"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"template {name!r} has no version {version}")


class TemplateExists(AlreadyExists):
    """The name is taken."""

    reason = "TEMPLATE_EXISTS"

    def __init__(self, name: str, *, archived: bool = False) -> None:
        more = f" and is archived; restore it with POST /v1/templates/{name}:restore, or delete it" if archived else ""
        super().__init__(f"name: a template {name!r} exists already{more}", violations=[FieldViolation("name", f"is taken{more}")])


class NothingToPreview(FailedPrecondition):
    """The template has no version yet."""

    reason = "NO_VERSION"

    def __init__(self, name: str) -> None:
        super().__init__(f"template {name!r} has no version yet; create one first")


class PartialNotFound(NotFound):
    """There is no partial of this name."""

    reason = "PARTIAL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no partial {name!r}")


class IncompleteLocale(FailedPrecondition):
    """Only complete locales may be published; each violation names one and what it lacks."""

    reason = "INCOMPLETE_LOCALE"

    @classmethod
    def because(cls, reports: Sequence[LocaleReport]) -> "IncompleteLocale":
        """At least one report, of which none is complete."""
        violations = [FieldViolation(f"locales.{report.locale}", _lacks(report)) for report in reports]
        return cls(f"{violations[0].field}: {violations[0].description}; complete it, or leave it out", violations=violations)


class InvalidContents(InvalidArgument):
    """Contents that can't become a version; each violation names a field such as `contents.pt-BR.subject`."""

    reason = "INVALID_CONTENTS"

    @classmethod
    def because(cls, violations: list[FieldViolation]) -> "InvalidContents":
        """At least one violation; the message has the first and counts the rest."""
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        return cls(f"{first.field}: {first.description}{more}", violations=violations)


class MissingVariable(InvalidArgument):
    """The template needs a value that was not given; the violations name every one, such as `variables.order.id`."""

    reason = "MISSING_VARIABLE"

    @classmethod
    def because(cls, paths: list[str], needed_by: str) -> "MissingVariable":
        """`needed_by` is the place that needs the first of them, such as `contents.en.html, line 3`."""
        violations = [FieldViolation(path, "is required by the template and missing") for path in paths]
        return cls(f"{paths[0]}: is missing; {needed_by} needs it", violations=violations)


class InvalidVariable(InvalidArgument):
    """A value that can't stand where the template puts it."""

    reason = "INVALID_VARIABLE"


class InvalidVariables(InvalidArgument):
    """The variables do not keep to the version's schema."""

    reason = "INVALID_VARIABLES"

    @classmethod
    def because(cls, violations: list[FieldViolation]) -> "InvalidVariables":
        """One error for all that is wrong."""
        first = violations[0]
        return cls(f"{first.field}: {first.description}, by the template's schema", violations=violations)


class RenderFailed(FailedPrecondition):
    """The template can't be rendered with these values: a defect of its text. The violation names the part."""

    reason = "RENDER_FAILED"

    @classmethod
    def at(cls, place: str, line: int | None, description: str) -> "RenderFailed":
        """`place` is a part such as `contents.en.html`."""
        said = f"line {line}: {description}" if line else description
        return cls(f"{place}: {said}", violations=[FieldViolation(place, said)])


class OutputTooLarge(RenderFailed):
    """The finished text is larger than a message may be."""

    reason = "OUTPUT_TOO_LARGE"


class RenderTooSlow(RenderFailed):
    """Rendering was stopped: it used up its processor time or its memory."""

    reason = "RENDER_TOO_SLOW"


class RenderCrashed(RenderFailed):
    """The template ended the process that rendered it, and did so again when it was alone."""

    reason = "RENDER_CRASHED"


class RenderHeld(Unavailable):
    """The text is not finished yet: its template is new or was stopped before, so that it is rendered apart from others' messages.

    The caller asks again later, and then gets what came of it.
    """

    reason = "RENDER_HELD"

    @classmethod
    def at(cls, place: str, retry_after_s: float) -> "RenderHeld":
        """`place` names the content, such as `contents.en`."""
        return cls(f"{place}: is rendered apart from other messages because it may be slow; try again", retry_after_s=retry_after_s)


class TooManyPreviews(ResourceExhausted):
    """A caller has as many previews and checks in hand as one caller may have."""

    reason = "TOO_MANY_PREVIEWS"


def _lacks(report: LocaleReport) -> str:
    if report.translated < report.messages:
        return f"{report.messages - report.translated} of {report.messages} texts are not translated"
    return f"does not mention {', '.join(map(repr, report.unused_variables))}"


class PublishedMeanwhile(FailedPrecondition):
    """Another version is in use than the caller thinks."""

    reason = "PUBLISHED_MEANWHILE"

    def __init__(self, version: int) -> None:
        super().__init__(
            f"version {version} is in use by now; look at it, and publish with previous_version {version}",
            metadata={"version": str(version)},
        )


class TemplateArchived(FailedPrecondition):
    """The template is out of use."""

    reason = "TEMPLATE_ARCHIVED"

    def __init__(self, name: str) -> None:
        way_out = f"is archived; restore it with POST /v1/templates/{name}:restore"
        super().__init__(f"template {name!r} {way_out}", violations=[FieldViolation("name", way_out)])


class VersionArchived(FailedPrecondition):
    """The version is archived, so that it can't be published."""

    reason = "VERSION_ARCHIVED"

    def __init__(self, name: str, version: int) -> None:
        way_out = f"is archived; restore it with POST /v1/templates/{name}/versions/{version}:restore"
        super().__init__(f"version {version} of template {name!r} {way_out}", violations=[FieldViolation("version", way_out)])


class VersionInUse(FailedPrecondition):
    """A version that notifications are made of can't be archived."""

    reason = "VERSION_IN_USE"

    def __init__(self, version: int) -> None:
        way_out = "is in use; publish another version first, or stop its canary"
        super().__init__(f"version {version} {way_out}", violations=[FieldViolation("version", way_out)])


class ScheduleNotFound(NotFound):
    """There is no scheduled publication of this id."""

    reason = "SCHEDULED_PUBLICATION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no scheduled publication of this id; GET /v1/scheduled-publications lists them")


class PublicationScheduled(FailedPrecondition):
    """The template has a plan already."""

    reason = "PUBLICATION_SCHEDULED"

    def __init__(self, name: str, identifier: str) -> None:
        way_out = f"cancel it with POST /v1/scheduled-publications/{identifier}:cancel, or replace it with replaces {identifier}"
        super().__init__(
            f"a publication of template {name!r} is scheduled already; {way_out}",
            violations=[FieldViolation("template", f"has a scheduled publication; {way_out}")],
            metadata={"scheduled_publication": identifier},
        )


class ScheduleOver(FailedPrecondition):
    """The plan does not wait any more."""

    reason = "SCHEDULE_OVER"

    def __init__(self, state: str) -> None:
        super().__init__(f"the scheduled publication is {state}, so that it can neither be cancelled nor replaced; make another one")


class CanaryNotFound(NotFound):
    """No canary of the template was ever started."""

    reason = "CANARY_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"template {name!r} has had no canary; start one with POST /v1/templates/{name}/versions/{{version}}:startCanary")


class CanaryRunning(FailedPrecondition):
    """Another version is tried already."""

    reason = "CANARY_RUNNING"

    def __init__(self, name: str, version: int) -> None:
        way_out = f"publish it, or stop it with POST /v1/templates/{name}/canary:stop"
        super().__init__(
            f"version {version} of template {name!r} is tried already; {way_out}",
            violations=[FieldViolation("version", f"is not the one that is tried, version {version}; {way_out}")],
            metadata={"version": str(version)},
        )


class NothingPublished(FailedPrecondition):
    """There is no version that the rest of the notifications would get."""

    reason = "TEMPLATE_NOT_PUBLISHED"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"template {name!r} has no published version, beside which another one could be tried; publish one with"
            f" POST /v1/templates/{name}/versions/{{version}}:publish"
        )


class UserNotFound(NotFound):
    """The project has no such person."""

    reason = "USER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("user_id: no user has this id; it is the `id` that CreateUser answered or the user's `external_id`")
