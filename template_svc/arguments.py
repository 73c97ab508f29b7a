"""The kinds of values that filters, tests and methods take: each is checked before anything of Jinja2 or Python sees it.

What is not of the kind is refused in plain words. A text beside HTML is escaped where it is an argument just as where it is printed,
and whatever multiplies one size by another is paid for before it begins.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from markupsafe import Markup, escape

from template_svc.sandbox import StrictMissing, TemplateEnvironment, TemplateFault, as_text, bounded_number, raise_missing

Kind: TypeAlias = Callable[[str, Any], Any]
Function: TypeAlias = Callable[..., Any]

MAX_ATTRIBUTE = 200


class Parameter(NamedTuple):
    """One argument: its name in Jinja2, and what makes a value of it. Without a default it is required."""

    name: str
    kind: Kind
    default: Any = ...


def any_value(_what: str, value: Any) -> Any:
    """Whatever a template can hold, and nothing is done with."""
    return value


def text(_what: str, value: Any) -> Any:
    """What can be printed, as a text."""
    return value if isinstance(value, str) else as_text(value)


def short_text(most: int) -> Kind:
    """A text of at most so many characters."""

    def check(what: str, value: Any) -> Any:
        found = text(what, value)
        if len(found) > most:
            raise TemplateFault(f"{what} must have at most {most} characters")
        return found

    return check


def optional(kind: Kind) -> Kind:
    """The kind, or none."""
    return lambda what, value: None if value is None else kind(what, value)


def number(what: str, value: Any) -> Any:
    """A number; true and false are none."""
    if type(value) not in {int, float}:
        raise TemplateFault(f"{what} must be a number")
    return bounded_number(value)


def boolean(what: str, value: Any) -> Any:
    """True or false."""
    if type(value) is not bool:
        raise TemplateFault(f"{what} must be true or false")
    return value


def whole(least: int, most: int) -> Kind:
    """A whole number within limits."""

    def check(what: str, value: Any) -> Any:
        if type(value) is not int or not least <= value <= most:
            raise TemplateFault(f"{what} must be a whole number from {least} to {most}")
        return value

    return check


def word(*words: str) -> Kind:
    """One of a few words."""

    def check(what: str, value: Any) -> Any:
        if value not in words if isinstance(value, str) else True:
            raise TemplateFault(f"{what} must be one of {', '.join(words)}")
        return str(value)

    return check


def scalar(what: str, value: Any) -> Any:
    """A text, a number, true, false or none."""
    if type(value) not in {str, Markup, int, float, bool, type(None)}:
        raise TemplateFault(f"{what} must be a text or a number")
    return value


def attribute(what: str, value: Any) -> Any:
    """The name of a member such as `price` or `order.price`, or an index."""
    if type(value) is int:
        return value
    if not isinstance(value, str) or len(value) > MAX_ATTRIBUTE:
        raise TemplateFault(f"{what} must be the name of a member")
    return str(value)


def bind(name: str, parameters: tuple[Parameter, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name, each of its kind. Raises TemplateFault; a missing value names itself first."""
    if len(args) > len(parameters):
        raise TemplateFault(f"{name} takes at most {len(parameters)} arguments" if parameters else f"{name} takes no arguments")
    given = {parameter.name: value for parameter, value in zip(parameters, args, strict=False)}
    for key, value in kwargs.items():
        if key in given or all(key != parameter.name for parameter in parameters):
            raise TemplateFault(f"{name} has no argument {key}" if key not in given else f"{name} has two values for {key}")
        given[key] = value
    bound: dict[str, Any] = {}
    for parameter in parameters:
        value = given.get(parameter.name, parameter.default)
        if value is ...:
            raise TemplateFault(f"{name} needs the argument {parameter.name}")
        if isinstance(value, StrictMissing) and parameter.kind is not any_value:
            raise_missing(value)
        bound[parameter.name] = parameter.kind(f"{name}: {parameter.name}", value) if parameter.name in given else value
    return bound


def beside(value: Any, argument: Any) -> Any:
    """A text argument as it may stand beside `value`: next to escaped HTML it is escaped too, because the result counts as escaped."""
    return escape(argument) if isinstance(value, Markup) and isinstance(argument, str) else argument


def product_of(environment: TemplateEnvironment, left: int, right: int) -> None:
    """Pays for work that takes `left` times `right` steps inside one call, 16 of which are as dear as a character."""
    environment.charge(left * right // 16)
