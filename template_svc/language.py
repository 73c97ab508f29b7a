"""Dates, numbers, plurals and lists as the reader's language writes them: filters, functions and a test that know whom a text is for.

The data is that of the Unicode CLDR, through Babel. What these take and refuse is checked like every other argument (`arguments`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from math import isfinite
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from babel import Locale, dates, lists, numbers, units
from babel.numbers import UnknownCurrencyError
from markupsafe import Markup, escape

from mesh.errors import InvalidArgument
from naming.time_zones import check_time_zone
from template_svc.arguments import Parameter, number, optional, short_text, text, whole, word
from template_svc.reader import PLURAL_CLASSES
from template_svc.sandbox import EnvironmentFunction, TemplateEnvironment, TemplateFault, as_text, no_missing

Function: TypeAlias = Callable[..., Any]

MAX_LISTED = 1000
# More characters than any of CLDR's patterns makes of one value.
_COST = 100
# RFC 3339, 5.6: full-date, or date-time with an offset.
_TIME = re.compile(r"(?P<date>\d{4}-\d\d-\d\d)(?:[Tt ](?P<time>\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,9})?(?P<zone>[Zz]|[+-]\d\d:\d\d))?")
_STYLES = ("short", "medium", "long", "full")
# UTS 35, part 4: the fields that a skeleton may name.
_SKELETON = re.compile(r"[GyYQMLwEecdDajhHKkmsSvVzZ]{1,20}")


def _style(what: str, value: Any) -> Any:
    found = text(what, value)
    if found not in _STYLES and not _SKELETON.fullmatch(found):
        raise TemplateFault(f"{what} must be short, medium, long, full or a skeleton of CLDR such as yMMMd")
    return found


def _zone(what: str, value: Any) -> tzinfo:
    try:
        return ZoneInfo(check_time_zone(what, str(text(what, value))))
    except InvalidArgument:
        raise TemplateFault(f"{what} must be an IANA time zone such as Europe/Paris") from None


def _currency(what: str, value: Any) -> str:
    found = str(text(what, value))
    if not _is_currency(found):
        raise TemplateFault(f"{what} must be a currency of ISO 4217 such as EUR")
    return found


@lru_cache(maxsize=1000)
def _is_currency(code: str) -> bool:
    """Babel looks through all of them each time."""
    return re.fullmatch(r"[A-Z]{3}", code) is not None and bool(numbers.is_currency(code))


_CLASSES = frozenset(PLURAL_CLASSES)
_ZONE = Parameter("timezone", optional(_zone), None)
_DIGITS = Parameter("digits", optional(whole(0, 15)), None)

# The arguments of each filter beyond its value.
PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    "and_list": (),
    "currency": (Parameter("code", _currency), _DIGITS),
    "date": (Parameter("format", _style, "medium"), _ZONE),
    "datetime": (Parameter("format", _style, "medium"), _ZONE),
    "number": (_DIGITS,),
    "or_list": (),
    "percent": (_DIGITS,),
    "relative": (),
    "time": (Parameter("format", _style, "short"), _ZONE),
    "unit": (Parameter("unit", short_text(60)), Parameter("length", word("short", "long", "narrow"), "long"), _DIGITS),
}


def language_filters() -> dict[str, Function]:
    """By name. Each takes the environment, the value, and its arguments by name."""
    return {
        "and_list": lambda environment, value: _listed(environment, value, "standard"),
        "currency": _in_currency,
        "date": _date,
        "datetime": _datetime,
        "number": _number,
        "or_list": lambda environment, value: _listed(environment, value, "or"),
        "percent": _percent,
        "relative": _relative,
        "time": _time_of_day,
        "unit": _in_unit,
    }


def language_functions() -> dict[str, EnvironmentFunction]:
    """By name."""
    return {
        "ordinal": EnvironmentFunction("ordinal", lambda environment, *args, **forms: _plural("ordinal", environment, args, forms)),
        "plural": EnvironmentFunction("plural", lambda environment, *args, **forms: _plural("plural", environment, args, forms)),
        "select": EnvironmentFunction("select", _select),
    }


def is_plural(environment: TemplateEnvironment, value: Any, *classes: Any) -> bool:
    """The test `count is plural('one', 'two')`."""
    for each in classes:
        word(*PLURAL_CLASSES)("the test plural", each)
    return environment.reader.locale.plural_form(_value("the test plural", value)) in classes


def _plural(name: str, environment: TemplateEnvironment, args: tuple[Any, ...], forms: Mapping[str, Any]) -> Any:
    """`plural(count, one="# file", other="# files")`: the form of the number's class, with the number in place of `#`."""
    if len(args) != 1:
        raise TemplateFault(f"{name} takes the number first, and its forms by name")
    if unknown := forms.keys() - _CLASSES:
        raise TemplateFault(f"{name} has no form {min(unknown)}; the forms are {', '.join(PLURAL_CLASSES)}")
    if "other" not in forms:
        raise TemplateFault(f"{name} needs the form other")
    count = _value(name, args[0])
    locale = environment.reader.locale
    found = _class_of(locale, abs(count), name == "ordinal")
    form = forms.get(found, forms["other"])
    no_missing(form)
    environment.charge(_COST + len(as_text(form)))
    return as_text(form).replace("#", _decimal(locale, count, None))


def _select(environment: TemplateEnvironment, *args: Any, **forms: Any) -> Any:
    """`select(gender, female="her", male="his", other="their")`."""
    if len(args) != 1 or "other" not in forms:
        raise TemplateFault("select takes the value first, and its forms by name, other among them")
    no_missing(args[0])
    form = forms.get(as_text(args[0]), forms["other"])
    no_missing(form)
    environment.charge(len(as_text(form)))
    return form


def _moment(what: str, value: Any) -> datetime | date:
    """An aware time, or a day."""
    no_missing(value)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None and found["time"] is None:
            return date.fromisoformat(found["date"])
        if found is not None:
            # a leap second has no place in Python's times
            clock = found["time"] if found["time"][-2:] != "60" else found["time"][:-2] + "59"
            zone = "+00:00" if found["zone"] in "Zz" else found["zone"]
            return datetime.fromisoformat(f"{found['date']}T{clock}{(found['fraction'] or '')[:7]}{zone}")
    except ValueError:
        pass
    raise TemplateFault(f"{what} needs a time of RFC 3339 such as 2030-01-31T15:04:05Z")


def _instant(what: str, value: Any) -> datetime:
    moment = _moment(what, value)
    if not isinstance(moment, datetime):
        raise TemplateFault(f"{what} needs a time with its offset such as 2030-01-31T15:04:05Z, and not only a day")
    return moment


def _local(environment: TemplateEnvironment, moment: datetime, zone: tzinfo | None) -> datetime:
    try:
        return moment.astimezone(zone or environment.reader.zone)
    except OverflowError:
        raise TemplateFault("a time is outside of the years 1 to 9999 in the reader's time zone") from None


def _date(environment: TemplateEnvironment, value: Any, *, format: str, timezone: tzinfo | None) -> str:  # noqa: A002  the filter's argument
    moment = _moment("date", value)
    # a day is the same everywhere; only a moment has another day elsewhere
    day = _local(environment, moment, timezone).date() if isinstance(moment, datetime) else moment
    return _formatted(environment, "date", day, format, dates.format_date)


def _time_of_day(environment: TemplateEnvironment, value: Any, *, format: str, timezone: tzinfo | None) -> str:  # noqa: A002  the argument that authors write
    return _formatted(environment, "time", _local(environment, _instant("time", value), timezone), format, dates.format_time)


def _datetime(environment: TemplateEnvironment, value: Any, *, format: str, timezone: tzinfo | None) -> str:  # noqa: A002  the argument that authors write
    return _formatted(environment, "datetime", _local(environment, _instant("datetime", value), timezone), format, dates.format_datetime)


def _formatted(environment: TemplateEnvironment, name: str, moment: Any, style: str, by_style: Function) -> str:
    environment.charge(_COST)
    locale = environment.reader.locale
    # Babel takes a moment into the zone that it is given
    zone = moment.tzinfo if isinstance(moment, datetime) else None
    if style in _STYLES:
        local, fold = (moment.replace(tzinfo=None), moment.fold) if isinstance(moment, datetime) else (moment, 0)
        return _moment_text(by_style, local, zone, style, locale, fold)
    try:
        return dates.format_skeleton(style, moment, zone, locale=locale)
    except (KeyError, AttributeError, TypeError, ValueError):
        raise TemplateFault(f"{name}: the locale {locale} has no pattern for the skeleton {style}") from None


def _relative(environment: TemplateEnvironment, value: Any) -> str:
    environment.charge(_COST)
    delta: timedelta = _instant("relative", value) - environment.reader.now
    return dates.format_timedelta(delta, add_direction=True, locale=environment.reader.locale)


def _value(what: str, value: Any) -> Any:
    no_missing(value)
    # a negative zero is written like zero: the two are one key of what is remembered below
    found = number(what, value) + 0
    if not isfinite(found):
        raise TemplateFault(f"{what}: a number that is infinite or no number can't be written")
    return found


def _number(environment: TemplateEnvironment, value: Any, *, digits: int | None) -> str:
    environment.charge(_COST)
    return _decimal(environment.reader.locale, _value("number", value), digits)


def _percent(environment: TemplateEnvironment, value: Any, *, digits: int | None) -> str:
    environment.charge(_COST)
    locale = environment.reader.locale
    return numbers.format_percent(_value("percent", value), _with_digits(locale.percent_formats[None], digits), locale)


def _in_currency(environment: TemplateEnvironment, value: Any, *, code: str, digits: int | None) -> str:
    environment.charge(_COST)
    locale = environment.reader.locale
    try:
        return _money(locale, _value("currency", value), code, digits)
    except UnknownCurrencyError:
        raise TemplateFault(f"currency: the locale {locale} does not know {code}") from None


def _in_unit(environment: TemplateEnvironment, value: Any, *, unit: str, length: Any, digits: int | None) -> str:
    environment.charge(_COST)
    locale = environment.reader.locale
    pattern = _with_digits(locale.decimal_formats[None], digits)
    try:
        return units.format_unit(_value("unit", value), str(unit), length, pattern, locale)
    except (units.UnknownUnitError, ValueError):
        raise TemplateFault("unit: unit must be one of CLDR such as kilometer, kilobyte or day") from None


# A mail has most of its values twice, in its HTML and in its text, and Babel takes 10 to 20 us for each.
@lru_cache(maxsize=1000, typed=True)
def _decimal(locale: Locale, value: float, digits: int | None) -> str:
    return numbers.format_decimal(value, _with_digits(locale.decimal_formats[None], digits), locale)


@lru_cache(maxsize=1000, typed=True)
def _money(locale: Locale, value: float, code: str, digits: int | None) -> str:
    pattern = _with_digits(locale.currency_formats["standard"], digits)
    return numbers.format_currency(value, code, pattern, locale, currency_digits=digits is None)


@lru_cache(maxsize=1000)
def _moment_text(by_style: Function, local: datetime | date, zone: tzinfo | None, style: str, locale: Locale, fold: int) -> str:  # noqa: PLR0917  the key
    """`local` without its zone: two times that are equal in different zones are one key. With `fold`, since the two times of an hour that
    the clock shows twice are equal, and have zones of different names.
    """
    if isinstance(local, datetime):
        return str(by_style(local.replace(tzinfo=zone, fold=fold), style, locale=locale, tzinfo=zone))
    return str(by_style(local, style, locale=locale))


@lru_cache(maxsize=1000, typed=True)
def _class_of(locale: Locale, count: float, ordinal: bool) -> str:
    return (locale.ordinal_form if ordinal else locale.plural_form)(count)


def _with_digits(pattern: Any, digits: int | None) -> Any:
    """The locale's pattern with exactly so many digits after its decimal sign."""
    if digits is None:
        return pattern
    exact = numbers.parse_pattern(pattern.pattern)
    exact.frac_prec = (digits, digits)
    return exact


def _listed(environment: TemplateEnvironment, value: Any, style: Any) -> Any:
    no_missing(value)
    if type(value) not in {list, tuple}:
        raise TemplateFault("this filter needs a list")
    if len(value) > MAX_LISTED:
        raise TemplateFault(f"a list in a sentence can have at most {MAX_LISTED} elements")
    texts = [as_text(element) for element in value]
    environment.charge(2 * sum(map(len, texts)) + 10 * len(texts))
    if not any(isinstance(each, Markup) for each in texts):
        return lists.format_list(texts, style, environment.reader.locale)
    escaped = [str(escape(each)) for each in texts]
    return Markup(lists.format_list(escaped, style, environment.reader.locale))  # noqa: S704  each of them is escaped
