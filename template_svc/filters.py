"""The filters and tests that templates may use: Jinja2's own, where they are harmless, behind guards for size and kinds of arguments.

Left out on purpose: `safe` (it would put a variable into HTML unescaped), `attr`, `xmlattr`, `tojson`, `urlize`, `pprint`, and `random`
(a preview has to be what is sent).
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias, cast

from jinja2 import pass_context, pass_environment
from jinja2.filters import FILTERS, make_multi_attrgetter
from jinja2.runtime import Context, Undefined
from jinja2.tests import TESTS
from markupsafe import Markup

from template_svc.arguments import (
    Parameter,
    any_value,
    attribute,
    beside,
    bind,
    boolean,
    number,
    optional,
    product_of,
    scalar,
    short_text,
    text,
    whole,
    word,
)
from template_svc.language import PARAMETERS as LANGUAGE_PARAMETERS
from template_svc.language import is_plural, language_filters
from template_svc.sandbox import TemplateEnvironment, TemplateFault, as_text, bounded_number, format_text, no_missing

MAX_LIST = 100_000
MAX_WIDTH = 200
# The longest argument that what it was found to be is remembered of.
_WORD = 40
# What mail programs make links of: domains in any spelling of their dots, addresses, schemes.
_LINKING = re.compile(r"(?<=[^\s])(?:[.\u3002\uff0e\uff61](?=\w)|@(?=\w)|:(?=//|\w+@))")
_APART = "\u200c"  # a zero width non-joiner: nothing is seen of it, and what it parts is no address any more

Function: TypeAlias = Callable[..., Any]

_ATTRIBUTE = Parameter("attribute", optional(attribute), None)
_CASE = Parameter("case_sensitive", boolean, False)

# The arguments of each filter beyond its value. `map`, `select` and their like hand theirs on to others of these, or to tests.
PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    **dict.fromkeys(
        (
            "capitalize",
            "e",
            "escape",
            "forceescape",
            "lower",
            "string",
            "striptags",
            "title",
            "unlinked",
            "upper",
            "wordcount",
            "urlencode",
        ),
        (),
    ),
    **dict.fromkeys(("abs", "count", "first", "items", "last", "length", "list", "reverse"), ()),
    **dict.fromkeys(("d", "default"), (Parameter("default_value", any_value, ""), Parameter("boolean", boolean, False))),
    "batch": (Parameter("linecount", whole(1, 1000)), Parameter("fill_with", any_value, None)),
    "dictsort": (_CASE, Parameter("by", word("key", "value"), "key"), Parameter("reverse", boolean, False)),
    "filesizeformat": (Parameter("binary", boolean, False),),
    "float": (Parameter("default", number, 0.0),),
    "groupby": (Parameter("attribute", attribute), Parameter("default", scalar, None), _CASE),
    "indent": (Parameter("width", whole(0, MAX_WIDTH), 4), Parameter("first", boolean, False), Parameter("blank", boolean, False)),
    "int": (Parameter("default", number, 0), Parameter("base", whole(2, 36), 10)),
    "join": (Parameter("d", text, ""), _ATTRIBUTE),
    "max": (_CASE, _ATTRIBUTE),
    "min": (_CASE, _ATTRIBUTE),
    "replace": (Parameter("old", text), Parameter("new", text), Parameter("count", optional(whole(0, 10**6)), None)),
    "round": (Parameter("precision", whole(0, 15), 0), Parameter("method", word("common", "ceil", "floor"), "common")),
    "sort": (Parameter("reverse", boolean, False), _CASE, _ATTRIBUTE),
    "sum": (_ATTRIBUTE, Parameter("start", number, 0)),
    "trim": (Parameter("chars", optional(short_text(100)), None),),
    "truncate": (
        Parameter("length", whole(0, 10**6), 255),
        Parameter("killwords", boolean, False),
        Parameter("end", short_text(100), "..."),
        Parameter("leeway", whole(0, 10**6), 5),
    ),
    "unique": (_CASE, _ATTRIBUTE),
    "wordwrap": (
        Parameter("width", whole(10, 10_000), 79),
        Parameter("break_long_words", boolean, True),
        Parameter("wrapstring", optional(short_text(16)), None),
        Parameter("break_on_hyphens", boolean, True),
    ),
    **LANGUAGE_PARAMETERS,
}


def template_filters() -> dict[str, Function]:
    """By name; no others exist."""
    by_name: dict[str, Function] = {
        name: cast("Function", FILTERS[name]) for name in ("map", "reject", "rejectattr", "select", "selectattr")
    }
    own: dict[str, Function] = {
        "abs": _abs,
        "batch": _batch,
        "count": _length,
        "dictsort": _dictsort,
        "filesizeformat": _filesizeformat,
        "first": _first,
        "int": _int,
        "items": lambda _environment, value: FILTERS["items"](value),
        "join": _join,
        "last": _last,
        "length": _length,
        "list": _materialize,
        "reverse": _reverse,
        "round": _round,
        "sum": _sum,
        "unlinked": _unlinked,
        **language_filters(),
    }
    texts = ("capitalize", "e", "escape", "forceescape", "indent", "lower", "replace", "string", "striptags", "title", "trim", "truncate")
    for name in (*texts, "upper", "urlencode", "wordcount", "wordwrap"):
        own[name] = _text_filter(name)
    for name in ("groupby", "max", "min", "sort", "unique"):
        own[name] = _keyed_filter(name)
    guarded = {name: _guarded(name, function) for name, function in own.items()}
    for name in ("d", "default", "float"):
        guarded[name] = _plain(name)
    return {**by_name, **guarded, "format": _format}


def template_tests() -> dict[str, Function]:
    """By name; no others exist."""
    plain = (
        "boolean",
        "defined",
        "false",
        "float",
        "integer",
        "iterable",
        "mapping",
        "none",
        "number",
        "sequence",
        "string",
        "true",
        "undefined",
    )
    compare = {
        operator.eq: ("==", "eq", "equalto"),
        operator.ne: ("!=", "ne"),
        operator.gt: (">", "gt", "greaterthan"),
        operator.ge: (">=", "ge"),
        operator.lt: ("<", "lt", "lessthan"),
        operator.le: ("<=", "le"),
    }
    comparisons = {name: _comparison(function) for function, names in compare.items() for name in names}
    numeric = {"even": _numeric("even", 0), "odd": _numeric("odd", 0), "divisibleby": _numeric("divisibleby", 1)}
    return {
        **{name: cast("Function", TESTS[name]) for name in plain},
        **comparisons,
        **numeric,
        "in": _is_in,
        "plural": pass_environment(is_plural),
    }


def _guarded(name: str, function: Function) -> Function:
    """The filter with its arguments bound and of their kinds. `function` takes the environment, the value, and them by name."""
    parameters = PARAMETERS[name]

    @lru_cache(maxsize=100)
    def bound_word(argument: str) -> dict[str, Any]:
        return bind(name, parameters, (argument,), {})

    @pass_context
    def guarded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and type(args[0]) is str and len(args[0]) <= _WORD:
            bound = bound_word(args[0])  # such as `currency('EUR')`: checking it costs as much as what the filter does
        else:
            bound = bind(name, parameters, args, kwargs) if parameters or args or kwargs else {}
        return function(_environment(context), value, **bound)

    return guarded


def _plain(name: str) -> Function:
    """One of Jinja2's that is harmless with arguments of the right kinds."""
    function = cast("Function", FILTERS[name])
    return _guarded(name, lambda _environment, value, **bound: function(value, **bound))


def _text_filter(name: str) -> Function:
    """A filter on one text, paid for with what it makes."""
    function = cast("Function", FILTERS[name])
    pass_arg = getattr(function, "jinja_pass_arg", None)
    extra = _EXTRA.get(name)

    def filtered(environment: TemplateEnvironment, value: Any, **bound: Any) -> Any:
        found = as_text(value)
        arguments = {key: beside(found, argument) for key, argument in bound.items()}
        environment.charge(len(found) + (extra(found, **arguments) if extra else 0))
        passed = () if pass_arg is None else (environment,) if pass_arg.name == "environment" else (environment.evaluation,)
        return function(*passed, found, **arguments)

    return filtered


def _indent_extra(found: str, width: int, first: bool, blank: bool) -> int:  # noqa: ARG001  the filter's arguments
    return width * (found.count("\n") + 1)


def _replace_extra(found: str, old: str, new: str, count: int | None) -> int:
    times = found.count(old) if old else len(found) + 1
    return (times if count is None else min(times, count)) * len(new)


def _trim_extra(found: str, chars: str | None) -> int:
    return len(found) * len(chars or "") // 16


# Characters that a filter makes beyond those of its text, or work that is as dear.
_EXTRA: Mapping[str, Callable[..., int]] = {
    "indent": _indent_extra,
    "replace": _replace_extra,
    "trim": _trim_extra,
    "urlencode": lambda found: 2 * len(found),
    "wordwrap": lambda found, **_bound: 2 * len(found),
}


def _keyed_filter(name: str) -> Function:
    """A filter that compares the elements of a list, or one attribute of each: those have to be texts or numbers."""
    function = cast("Function", FILTERS[name])

    def compared(environment: TemplateEnvironment, value: Any, **bound: Any) -> Any:
        values = _materialize(environment, value)
        keys = make_multi_attrgetter(environment, bound["attribute"])
        total, longest = 0, 0
        for element in values:
            for key in keys(element):
                if bound.get("default") is None or not isinstance(key, Undefined):
                    environment.comparable(key)
                    size = len(key) if isinstance(key, str) else 1
                    total, longest = total + size, max(longest, size)
        # each key is copied in lower case, and compared with others as far as they are alike
        environment.charge(total)
        product_of(environment, longest, len(values) * len(values).bit_length())
        return function(environment, values, **bound)

    return compared


def _comparison(function: Callable[[Any, Any], Any]) -> Function:
    @pass_environment
    def compare(environment: TemplateEnvironment, left: Any, right: Any) -> Any:
        return function(environment.comparable(left), environment.comparable(right))

    return compare


def _numeric(name: str, operands: int) -> Function:
    """A test on numbers: `%` of a text would format it."""
    function = cast("Function", TESTS[name])

    def test(value: Any, *args: Any) -> Any:
        if len(args) != operands:
            raise TemplateFault(f"the test {name} takes {operands} arguments")
        no_missing(value, *args)
        return function(*(number(f"the test {name}", operand) for operand in (value, *args)))

    return test


@pass_environment
def _is_in(environment: TemplateEnvironment, value: Any, collection: Any) -> bool:
    return bool(environment.contains(collection, value))


def _abs(_environment: TemplateEnvironment, value: Any) -> Any:
    no_missing(value)
    return abs(number("abs", value))


def _filesizeformat(_environment: TemplateEnvironment, value: Any, *, binary: bool) -> str:
    no_missing(value)
    return str(
        FILTERS["filesizeformat"](value if isinstance(value, str) and len(value) < MAX_WIDTH else number("filesizeformat", value), binary)
    )


def _reverse(environment: TemplateEnvironment, value: Any) -> list[Any]:
    return _materialize(environment, value)[::-1]


def _first(environment: TemplateEnvironment, value: Any) -> Any:
    for element in _iterable(value):
        return element
    return environment.undefined("the list is empty")


def _last(environment: TemplateEnvironment, value: Any) -> Any:
    values = _materialize(environment, value)
    return values[-1] if values else environment.undefined("the list is empty")


def _length(_environment: TemplateEnvironment, value: Any) -> int:
    if isinstance(value, str | list | tuple | dict | range | Undefined):
        return len(value)
    raise TemplateFault("only texts, lists and objects have a length")


def _join(environment: TemplateEnvironment, value: Any, *, d: Any, attribute: Any) -> Any:
    values = _members(environment, value, attribute)
    texts = [as_text(element) for element in values]
    environment.charge(sum(map(len, texts)) + len(d) * len(texts))
    return FILTERS["join"](environment.evaluation, texts, d)


def _dictsort(environment: TemplateEnvironment, value: Any, *, case_sensitive: bool, by: str, reverse: bool) -> Any:
    if not isinstance(value, dict):
        no_missing(value)
        raise TemplateFault("dictsort needs an object")
    keys = [environment.comparable(key) for key in (value.values() if by == "value" else value)]
    longest = max((len(key) for key in keys if isinstance(key, str)), default=1)
    environment.charge(len(keys))
    product_of(environment, longest, len(keys) * len(keys).bit_length())
    return FILTERS["dictsort"](value, case_sensitive, by, reverse)


def _batch(environment: TemplateEnvironment, value: Any, *, linecount: int, fill_with: Any) -> Any:
    return FILTERS["batch"](_materialize(environment, value), linecount, fill_with)


def _sum(environment: TemplateEnvironment, value: Any, *, attribute: Any, start: Any) -> Any:
    values = _members(environment, value, attribute)
    no_missing(*values)
    if any(type(element) not in {int, float} for element in values):
        raise TemplateFault("sum needs numbers")
    return bounded_number(sum(map(bounded_number, values), start))


def _unlinked(environment: TemplateEnvironment, value: Any) -> Any:
    """The text, which looks the same, without what a mail program makes a link of."""
    found = as_text(value)
    environment.charge(2 * len(found))
    apart = _LINKING.sub(lambda mark: mark[0] + _APART, str(found))
    return Markup(apart) if isinstance(found, Markup) else apart  # noqa: S704  it was escaped before, and got no < of this


@pass_environment
def _format(environment: TemplateEnvironment, value: Any, *args: Any) -> str:
    no_missing(*args)
    return format_text(environment, as_text(value), args)


def _round(_environment: TemplateEnvironment, value: Any, *, precision: int, method: str) -> Any:
    no_missing(value)
    if type(value) not in {int, float}:
        raise TemplateFault("round needs a number")
    return FILTERS["round"](value, precision, method)


def _int(_environment: TemplateEnvironment, value: Any, *, default: Any, base: int) -> Any:
    no_missing(value)
    return bounded_number(FILTERS["int"](scalar("int", value), default, base))


def _members(environment: TemplateEnvironment, value: Any, attribute: Any) -> list[Any]:
    values = _materialize(environment, value)
    if attribute is None:
        return values
    keys = make_multi_attrgetter(environment, attribute)
    return [keys(element)[0] for element in values]


def _materialize(environment: TemplateEnvironment, value: Any) -> list[Any]:
    values = list(islice(_iterable(value), MAX_LIST + 1))
    if len(values) > MAX_LIST:
        raise TemplateFault(f"a list can't have more than {MAX_LIST} elements")
    environment.charge(len(values))
    return values


def _iterable(value: Any) -> Iterable[Any]:
    if type(value) in {int, float, bool, type(None)} or not isinstance(value, Iterable):
        raise TemplateFault("this filter needs a list")
    return value


def _environment(context: Context) -> TemplateEnvironment:
    environment = context.environment
    assert isinstance(environment, TemplateEnvironment)
    return environment
