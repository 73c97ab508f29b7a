"""The filters and tests that templates may use: Jinja2's own, where they are harmless, behind guards for size and kind.

Left out on purpose: `safe` (it would put a variable into HTML unescaped), `attr`, `xmlattr`, `tojson`, `urlize`, `pprint`, and `random`
(a preview has to be what is sent).
"""

import operator
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeAlias, cast

from jinja2 import pass_context, pass_environment
from jinja2.filters import FILTERS, make_multi_attrgetter
from jinja2.runtime import Context, Undefined
from jinja2.tests import TESTS

from template_svc.sandbox import StrictMissing, TemplateEnvironment, TemplateFault, as_text, bounded_number, format_text, raise_missing

MAX_LIST = 100_000
MAX_WIDTH = 200

Function: TypeAlias = Callable[..., Any]


def template_filters() -> dict[str, Function]:
    """By name; no others exist."""
    texts = ("capitalize", "e", "escape", "forceescape", "lower", "string", "striptags", "title", "trim", "truncate", "upper", "wordcount")
    as_they_are = ("abs", "d", "default", "filesizeformat", "float", "items", "map", "reject", "rejectattr", "select", "selectattr")
    keyed = ("groupby", "max", "min", "sort", "unique")
    return {
        **{name: cast("Function", FILTERS[name]) for name in as_they_are},
        **{name: _text_filter(FILTERS[name]) for name in texts},
        **{name: _keyed_filter(FILTERS[name]) for name in keyed},
        "batch": _batch,
        "count": _length,
        "dictsort": _dictsort,
        "first": _first,
        "format": _format,
        "indent": _text_filter(FILTERS["indent"], _check_indent),
        "int": _int,
        "join": _join,
        "last": _last,
        "length": _length,
        "list": _list,
        "replace": _text_filter(FILTERS["replace"], _check_replace),
        "reverse": _reverse,
        "round": _round,
        "sum": _sum,
        "urlencode": _text_filter(FILTERS["urlencode"], lambda text: 2 * len(text)),
        "wordwrap": _text_filter(FILTERS["wordwrap"], _check_wordwrap),
    }


def template_tests() -> dict[str, Function]:
    """By name; no others exist."""
    plain = ("boolean", "defined", "even", "false", "float", "integer", "iterable", "mapping", "none", "number", "odd", "sequence")
    more = ("divisibleby", "string", "true", "undefined")
    compare = {
        operator.eq: ("==", "eq", "equalto"),
        operator.ne: ("!=", "ne"),
        operator.gt: (">", "gt", "greaterthan"),
        operator.ge: (">=", "ge"),
        operator.lt: ("<", "lt", "lessthan"),
        operator.le: ("<=", "le"),
    }
    comparisons = {name: _comparison(function) for function, names in compare.items() for name in names}
    return {**{name: cast("Function", TESTS[name]) for name in plain + more}, **comparisons, "in": _is_in}


def _text_filter(function: Function, extra: Callable[..., int] = lambda *_args, **_kwargs: 0) -> Function:
    """A filter on one text. `extra` says how many characters beyond the text's own it may make, and refuses wild arguments."""
    pass_arg = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def guarded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        environment = _environment(context)
        text = as_text(value)
        _no_missing(args, kwargs)
        environment.charge(len(text) + extra(text, *args, **kwargs))
        passed = () if pass_arg is None else (environment,) if pass_arg.name == "environment" else (context.eval_ctx,)
        return function(*passed, text, *args, **kwargs)

    return guarded


def _check_indent(text: str, width: Any = 4, first: Any = False, blank: Any = False) -> int:  # noqa: ARG001  Jinja2's parameters
    size = width if type(width) is int else len(as_text(width))
    _limit("indent: width", size, MAX_WIDTH)
    return int(size) * (text.count("\n") + 1)


def _check_replace(text: str, old: Any, new: Any, count: Any = None) -> int:  # noqa: ARG001  as above
    return (text.count(as_text(old)) + 1) * len(as_text(new))


def _check_wordwrap(text: str, width: Any = 79, break_long_words: Any = True, wrapstring: Any = None, break_on_hyphens: Any = True) -> int:  # noqa: ARG001  as above
    _limit("wordwrap: width", width, 10_000, least=10)
    _limit("wordwrap: length of wrapstring", len(wrapstring or ""), 16)
    return 2 * len(text)


def _keyed_filter(function: Function) -> Function:
    """A filter that compares the elements of a list, or one attribute of each: those have to be texts or numbers."""

    @pass_environment
    def guarded(environment: TemplateEnvironment, value: Any, *args: Any, **kwargs: Any) -> Any:
        values = _materialize(environment, value)
        _no_missing(args, kwargs)
        positional = {"groupby": 0, "sort": 2}.get(function.__name__.removeprefix("sync_").removeprefix("do_"), 1)
        attribute = kwargs.get("attribute", args[positional] if len(args) > positional else None)
        default = kwargs.get("default")
        keys = make_multi_attrgetter(environment, attribute)
        for element in values:
            for key in keys(element):
                if default is None or not isinstance(key, Undefined):
                    environment.comparable(key)
        return function(environment, values, *args, **kwargs)

    return guarded


def _comparison(function: Callable[[Any, Any], Any]) -> Function:
    @pass_environment
    def compare(environment: TemplateEnvironment, left: Any, right: Any) -> Any:
        return function(environment.comparable(left), environment.comparable(right))

    return compare


@pass_environment
def _is_in(environment: TemplateEnvironment, value: Any, collection: Any) -> bool:
    return environment.comparable(value) in environment.haystack(collection)


@pass_environment
def _list(environment: TemplateEnvironment, value: Any) -> list[Any]:
    return _materialize(environment, value)


@pass_environment
def _reverse(environment: TemplateEnvironment, value: Any) -> list[Any]:
    return _materialize(environment, value)[::-1]


@pass_environment
def _first(environment: TemplateEnvironment, value: Any) -> Any:
    for element in _iterable(value):
        return element
    return environment.undefined("the list is empty")


@pass_environment
def _last(environment: TemplateEnvironment, value: Any) -> Any:
    values = _materialize(environment, value)
    return values[-1] if values else environment.undefined("the list is empty")


def _length(value: Any) -> int:
    if isinstance(value, str | list | tuple | dict | range | Undefined):
        return len(value)
    raise TemplateFault("only texts, lists and objects have a length")


@pass_context
def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> Any:
    environment = _environment(context)
    values = _materialize(environment, value)
    if attribute is not None:
        keys = make_multi_attrgetter(environment, attribute)
        values = [keys(element)[0] for element in values]
    separator = as_text(d)
    texts = [as_text(element) for element in values]
    environment.charge(sum(map(len, texts)) + len(separator) * len(texts))
    return FILTERS["join"](context.eval_ctx, texts, separator)


@pass_environment
def _dictsort(environment: TemplateEnvironment, value: Any, case_sensitive: Any = False, by: Any = "key", reverse: Any = False) -> Any:
    if not isinstance(value, dict):
        len(_iterable(value))  # type: ignore[arg-type]  # a missing value names itself here
        raise TemplateFault("dictsort needs an object")
    environment.charge(len(value))
    for element in value.values() if by == "value" else ():
        environment.comparable(element)
    return FILTERS["dictsort"](value, case_sensitive, by, reverse)


@pass_environment
def _batch(environment: TemplateEnvironment, value: Any, linecount: Any, fill_with: Any = None) -> Any:
    _limit("batch: size", linecount, 1000, least=1)
    return FILTERS["batch"](_materialize(environment, value), linecount, fill_with)


@pass_environment
def _sum(environment: TemplateEnvironment, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    values = _materialize(environment, value)
    if attribute is not None:
        keys = make_multi_attrgetter(environment, attribute)
        values = [keys(element)[0] for element in values]
    _no_missing(tuple(values), {"start": start})
    if any(type(element) not in {int, float} for element in (*values, start)):
        raise TemplateFault("sum needs numbers")
    return bounded_number(sum(values, start))


@pass_environment
def _format(environment: TemplateEnvironment, value: Any, *args: Any) -> str:
    _no_missing(args, {})
    return format_text(environment, as_text(value), args)


def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    _limit("round: precision", precision, 15)
    _no_missing((value,), {})
    if type(value) not in {int, float}:
        raise TemplateFault("round needs a number")
    return FILTERS["round"](value, precision, method)


def _int(value: Any, default: Any = 0, base: Any = 10) -> Any:
    _no_missing((value,), {})
    return bounded_number(FILTERS["int"](value, default, base))


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


def _no_missing(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Lets a missing value name itself before Python complains about its type."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, StrictMissing):
            raise_missing(value)


def _limit(what: str, value: Any, most: int, *, least: int = 0) -> None:
    if type(value) is not int or not least <= value <= most:
        raise TemplateFault(f"{what} must be a whole number from {least} to {most}")


def _environment(context: Context) -> TemplateEnvironment:
    environment = context.environment
    assert isinstance(environment, TemplateEnvironment)
    return environment
