"""Jinja2 with closed doors: plain data only, every text it makes is paid for, nothing that Python would print by itself.

Jinja2's own sandbox keeps templates away from Python's internals, but not from `"x" * 10**9`. Here a template can do only what is
listed: the operators below, the filters and tests of `template_svc.filters`, a few methods of texts and dicts. Whatever makes a text or
a list draws on a budget that is refilled for each rendering, and nothing compares or prints nested data, so that no single call into C
can take long or much memory. Loops in the template itself are stopped by `template_svc.cpu_limit`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from typing import Any, NoReturn

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.exceptions import UndefinedError
from jinja2.ext import Extension
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext, Macro, Undefined, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Joiner, Namespace, missing
from markupsafe import Markup, escape

from template_svc.reader import reader_of

# Characters that one rendering may make in all, intermediate ones included, and elements that it may put into lists.
BUDGET = 4_000_000
# Pieces of output; a piece has at least one character, so this is no tighter than the limit on the finished text.
MAX_PIECES = 300_000
MAX_INTEGER_BITS = 256

TEXT_METHODS = frozenset({"upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "startswith", "endswith", "split"})
DICT_METHODS = frozenset({"items", "keys", "values", "get"})
LOOP_ATTRIBUTES = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "cycle"})

_SCALARS = frozenset({str, Markup, int, float, bool, type(None)})
_HAYSTACKS = frozenset({str, Markup, list, tuple, dict, range})
_FORMAT = re.compile(r"%(?:%|[-+ 0#]{0,3}\d{0,2}(?:\.\d{0,2})?[sdifgGeEcxX])")
_URL = re.compile(r"https?://[^\s/?#]|mailto:|tel:", re.IGNORECASE)
_STYLE_URL = re.compile(r"https?://[^\s()'\"\\]+", re.IGNORECASE)
_ACTIVE_STYLE = re.compile(
    r"[\\<{}]|/\*|\b(?:url|src|image|image-set|expression|element)\s*\(|@import|behavior|-moz-binding|javascript:", re.IGNORECASE
)
# The greatest float whose whole value is written without an exponent; as in JSON and JavaScript.
_MAX_PLAIN_FLOAT = 1e21


class TemplateFault(Exception):
    """The template did what a template may not do. The message is for its author and holds no value."""


class BudgetExceeded(Exception):
    """One rendering made more text than it may."""


class MissingValue(UndefinedError):
    """A value was used that was not given: `name` of the data `holder`, or of the variables themselves when there is no holder."""

    def __init__(self, name: object, holder: object, hint: str | None) -> None:
        super().__init__()
        self.name = name
        self.holder = None if holder is missing else holder
        self.hint = hint


class StrictMissing(StrictUndefined):
    """What a missing value is until it is used: every use but `is defined` and `default` raises MissingValue."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = None) -> None:  # noqa: ARG002  Jinja's signature
        super().__init__(hint, obj, name)
        self._undefined_exception = self._missing  # type: ignore[assignment]  # called like a class, with the message

    @property
    def _undefined_message(self) -> str:
        return ""  # Jinja2's own names Python classes

    def _missing(self, _message: str) -> MissingValue:
        return MissingValue(self._undefined_name, self._undefined_obj, self._undefined_hint)


class UncalledMethod(StrictMissing):
    """A method of an object that has no member of the name: `order.items()` calls it, and `order.items` is a member that is missing."""

    __slots__ = ()

    @property
    def method(self) -> Callable[..., Any]:
        """What a call calls."""
        found: Callable[..., Any] = getattr(self._undefined_obj, str(self._undefined_name))
        return found


class EnvironmentFunction:
    """A function for templates that checks its own arguments; it is called with the environment before them."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__ = name
        self._function = function

    def __call__(self, environment: "TemplateEnvironment", *args: Any, **kwargs: Any) -> Any:
        """What the function makes. Raises TemplateFault, MissingValue."""
        return self._function(environment, *args, **kwargs)


class GuardedCodeGenerator(CodeGenerator):
    """Sends to the environment what Jinja2 would compile into bare Python operators."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  named by Jinja2
        self.write("environment.concatenate((")
        for item in node.nodes:
            self.visit(item, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802  Jinja's name
        containment = {"in", "notin"}
        if any(operand.op in containment for operand in node.ops):
            if len(node.ops) > 1:
                self.fail("`in` can't be part of a chain of comparisons", node.lineno)
            self.write("(not " if node.ops[0].op == "notin" else "(")
            self.write("environment.contains(")
            self.visit(node.ops[0].expr, frame)
            self.write(", ")
            self.visit(node.expr, frame)
            self.write("))")
            return
        self.write("(")
        self._guard("comparable", node.expr, frame)
        for operand in node.ops:
            self.write(f" {operators[operand.op]} ")
            self._guard("comparable", operand.expr, frame)
        self.write(")")

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:  # noqa: N802  Jinja's name
        node.filter.of_block = True  # type: ignore[attr-defined]  # nodes take attributes
        super().visit_FilterBlock(node, frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802  Jinja's name
        if node.filter is not None:
            node.filter.of_block = True  # type: ignore[attr-defined]  # as above
        super().visit_AssignBlock(node, frame)

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:  # noqa: N802  Jinja's name
        """Jinja2 takes what the filter of a block makes for finished HTML, also where it is a plain text."""
        if not getattr(node, "of_block", False):
            super().visit_Filter(node, frame)
            return
        self.write("environment.finished(")
        super().visit_Filter(node, frame)
        self.write(")")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_pre(node, frame, finalize)
        for guard in getattr(node, "guards", ()):
            self.write(f"environment.guarded({guard!r}, ")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(")" * len(getattr(node, "guards", ())))
        super()._output_child_post(node, frame, finalize)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802  Jinja's name
        if isinstance(node.arg, nodes.Const):
            super().visit_Getitem(node, frame)
            return
        if not isinstance(node.arg, nodes.Slice):
            self.write("environment.look_up(")
            self.visit(node.node, frame)
            self.write(", ")
            self.visit(node.arg, frame)
            self.write(")")
            return
        self.write("environment.slice_of(")
        self.visit(node.node, frame)
        for bound in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            if bound is None:
                self.write("None")
            else:
                self.visit(bound, frame)
        self.write(")")

    def _guard(self, guard: str, node: nodes.Expr, frame: Frame) -> None:
        if isinstance(node, nodes.Const):
            self.visit(node, frame)
            return
        self.write(f"environment.{guard}(")
        self.visit(node, frame)
        self.write(")")


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The language of templates. Not safe for threads: `left` is what remains of the budget of the rendering under way, and `reader` is
    whom it is for.
    """

    code_generator_class = GuardedCodeGenerator
    intercepted_binops = frozenset({"+", "*", "%"})

    def __init__(
        self,
        *,
        autoescape: bool,
        filters: dict[str, Any],
        tests: dict[str, Any],
        functions: Mapping[str, EnvironmentFunction],
        extensions: Sequence[type[Extension]] = (),
    ) -> None:
        super().__init__(autoescape=autoescape, undefined=StrictMissing, optimized=False, cache_size=0, extensions=extensions)
        self.finalize = self._print
        self.filters = filters
        self.tests = tests
        self.globals = {**{name: self.globals[name] for name in ("range", "namespace", "joiner")}, **functions}
        self.left = BUDGET
        self.reader = reader_of("en", "", datetime.now(UTC))
        # for Jinja2's own filters, which ask it whether to escape
        self.evaluation = EvalContext(self)

    def refill(self) -> None:
        """To be called before each rendering."""
        self.left = BUDGET

    def charge(self, units: int) -> None:
        """Takes characters or elements off the budget, before they are made. Raises BudgetExceeded."""
        self.left -= units
        if self.left < 0:
            raise BudgetExceeded

    @pass_context
    def _print(self, _context: Context, value: Any) -> Any:
        """What `{{ value }}` puts out. It is paid for here, since escaping makes a copy of each.

        It asks for the context so that Jinja2 does not evaluate constant expressions while it compiles, which it does in Python's way.
        """
        kind = type(value)
        text = value if kind is str or kind is Markup else text_of(value)
        if isinstance(text, str):
            self.left -= len(text)  # `charge`, without the call: most of what a template does is to print
            if self.left < 0:
                raise BudgetExceeded
        return text

    def guarded(self, guard: str, value: Any) -> Any:
        """What stands in a URL or a style (`html_places.Guard`), once it is harmless there."""
        text = text_of(value)
        if isinstance(text, Undefined):
            return value
        found = str(text)
        if guard == "url" and not _URL.match(found):
            raise TemplateFault("a URL attribute takes only http, https, mailto and tel URLs from variables")
        if guard == "url_list" and not all(_URL.match(each.strip()) for each in found.split(",")):
            raise TemplateFault("a list of pictures takes only http and https URLs from variables")
        if guard == "style_url" and not _STYLE_URL.fullmatch(found):
            raise TemplateFault("a URL in a style takes only http and https URLs without spaces, quotes and parentheses from variables")
        if guard == "style" and _ACTIVE_STYLE.search(found):
            raise TemplateFault("a style takes no url(), no escapes and nothing that loads or runs from variables")
        return text

    def finished(self, value: Any) -> Any:
        """What the filter of a block made, as it may stand in the output."""
        text = as_text(value)
        self.charge(len(text))
        return escape(text) if self.autoescape else text

    def concat(self, pieces: Iterable[str]) -> str:  # Jinja2 has a plain function here
        """The pieces of an output, a macro or a block as one text."""
        texts = list(islice(pieces, MAX_PIECES + 1))
        if len(texts) > MAX_PIECES:
            raise BudgetExceeded
        self.charge(sum(map(len, texts)))
        return "".join(texts)

    def concatenate(self, values: tuple[Any, ...]) -> str:
        """`a ~ b`."""
        texts = [as_text(value) for value in values]
        self.charge(sum(map(len, texts)))
        return markup_join(texts) if self.autoescape else "".join(texts)

    def slice_of(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """`value[start:stop:step]`."""
        if type(value) not in {str, Markup, list, tuple}:
            _refuse(value, "only texts and lists can be sliced")
        self.charge(len(value))
        return value[start:stop:step]

    def comparable(self, value: Any) -> Any:
        """An operand of a comparison. Nested data is refused, since comparing it may take for ever."""
        return value if type(value) in _SCALARS else _refuse(value, "only texts and numbers can be compared")

    def contains(self, collection: Any, value: Any) -> Any:
        """`value in collection`. Comparing a text with each element of a list is paid for."""
        needle = self.comparable(value)
        if type(collection) not in _HAYSTACKS:
            return needle in _refuse(collection, "`in` needs a text or a list to its right")
        if isinstance(collection, list | tuple):
            self.charge(len(collection) * (1 + len(needle) // 16 if isinstance(needle, str) else 1))
            return any(type(element) in _SCALARS and element == needle for element in collection)
        if isinstance(collection, str) and not isinstance(needle, str):
            _refuse(needle, "`in` looks for a text in a text")
        self.charge(len(needle) // 16 if isinstance(needle, str) else 1)
        return needle in collection

    def call_binop(self, _context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+`, `*` and `%`, which could make something huge out of something small."""
        if isinstance(left, str) and operator == "%":
            return format_text(self, left, right if isinstance(right, tuple) else (right,))
        if isinstance(left, str) and isinstance(right, str) and operator == "+":
            self.charge(len(left) + len(right))
            return left + right
        for value in (left, right):
            if type(value) not in {int, float}:
                _refuse(value, f"`{operator}` needs two numbers" + (" or two texts; `~` joins anything" if operator == "+" else ""))
        return bounded_number(self.binop_table[operator](bounded_number(left), bounded_number(right)))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a member of a dict first, then one of the few methods that are listed."""
        kind = type(obj)
        if kind is dict:
            try:
                return obj[attribute]
            except KeyError:
                if attribute in DICT_METHODS:
                    return UncalledMethod(obj=obj, name=attribute)
        elif kind is LoopContext:
            if attribute in LOOP_ATTRIBUTES:
                return getattr(obj, attribute)
        elif kind is str or kind is Markup:
            if attribute in TEXT_METHODS:
                self.charge(len(obj))
                return getattr(obj, attribute)
        elif kind is Namespace:
            if not attribute.startswith("_"):
                return getattr(obj, attribute, self.undefined(obj=obj, name=attribute))
        elif isinstance(obj, tuple) and attribute in {"grouper", "list"}:
            return getattr(obj, attribute, self.undefined(obj=obj, name=attribute))
        elif isinstance(obj, Undefined):
            raise_missing(obj)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: keys of dicts, indexes of lists and texts; no attributes."""
        for value in (obj, argument):
            if isinstance(value, Undefined):
                raise_missing(value)
        fits = type(argument) in {str, int, Markup} if type(obj) is dict else type(argument) is int and isinstance(obj, str | list | tuple)
        if fits:
            try:
                return obj[argument]
            except LookupError:
                pass
        return self.undefined(obj=obj, name=argument)

    def look_up(self, obj: Any, key: Any) -> Any:
        """`obj[key]` with a key that is computed: it may be a person's data, so that the error for a missing one leaves it out."""
        found = self.getitem(obj, key)
        return self.undefined(obj=obj, name="*") if isinstance(found, Undefined) else found

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls what a template can reach: macros, the three globals, the listed methods."""
        if type(obj) is EnvironmentFunction:  # which looks at its arguments itself
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
            return obj(self, *args, **kwargs)
        if isinstance(obj, UncalledMethod):
            obj = obj.method
        if isinstance(obj, Undefined):
            raise_missing(obj)
        if not callable(obj):
            raise TemplateFault("only macros, methods and functions can be called")
        for arg in args:
            if isinstance(arg, StrictMissing) and not isinstance(obj, Macro):  # a macro may well test it with `is defined`
                raise_missing(arg)
        kwargs.pop("_loop_vars", None)
        kwargs.pop("_block_vars", None)
        if isinstance(obj, Macro):
            return obj(context.eval_ctx, *args, **kwargs)
        self._check_arguments(obj, args, kwargs)
        return obj(*args, **kwargs)

    def _check_arguments(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A function or a method gets arguments of the kinds that it takes: Python would hash or compare whatever it is given."""
        owner = type(getattr(function, "__self__", None))
        if function is Namespace:
            if args:
                raise TemplateFault("namespace takes named values only, as in namespace(total=0)")
            return
        if owner is LoopContext:
            return
        name = getattr(function, "__name__", "joiner")
        if kwargs and not (function is Joiner and set(kwargs) == {"sep"}):
            raise TemplateFault(f"{name} takes no named arguments")
        if owner is dict:
            if any(type(key) not in _SCALARS for key in args[:1]):
                raise TemplateFault(f"{name} takes the name of a member")
            return
        kinds = (int,) if function is safe_range else (str, Markup, int) if name == "split" else (str, Markup)
        if any(type(arg) not in kinds for arg in (*args, *kwargs.values())):
            raise TemplateFault(f"{name} takes " + ("whole numbers" if function is safe_range else "texts") + " only")
        if owner in {str, Markup}:
            self.charge(len(function.__self__) * sum(len(arg) for arg in args if isinstance(arg, str)) // 16)


def text_of(value: Any) -> Any:
    """What an expression prints: texts and whole numbers as they are, booleans and floats as in JSON. Nested data and null have no text."""
    kind = type(value)
    if kind is str or kind is Markup or kind is int:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        if not isfinite(value):
            raise TemplateFault("a number that is infinite or no number can't be printed")
        return str(int(value)) if value.is_integer() and abs(value) < _MAX_PLAIN_FLOAT else repr(value)
    if isinstance(value, Undefined):
        return value
    if value is None:
        raise TemplateFault("null can't be printed; give a `default` or test for it")
    raise TemplateFault("a list or an object can't be printed; print its members, or use `join`")


def as_text(value: Any) -> str:
    """`text_of` as a str, for filters and `~`."""
    text = text_of(value)
    return text if isinstance(text, str) else str(text)


def bounded_number(value: Any) -> Any:
    """A number that arithmetic may go on with."""
    if type(value) is int and value.bit_length() > MAX_INTEGER_BITS:
        raise TemplateFault("a number is too large")
    return value


def format_text(environment: TemplateEnvironment, pattern: str, args: tuple[Any, ...]) -> str:
    """`pattern % args` with widths and precisions of at most two digits."""
    rest = _FORMAT.sub("", pattern)
    if "%" in rest:
        raise TemplateFault("the format must be like %s, %d or %.2f, with at most two digits for width and precision")
    values = tuple(bounded_number(value) if type(value) in {int, float} else text_of(value) for value in args)
    environment.charge(len(pattern) + sum(len(value) if isinstance(value, str) else 400 for value in values))
    return pattern % values


def raise_missing(value: Undefined) -> NoReturn:
    """Lets a missing value name itself, before Python complains about its type."""
    value._fail_with_undefined_error()  # noqa: SLF001  Jinja2 has no public way


def no_missing(*values: Any) -> None:
    """Lets the first missing value name itself, before Python complains about its type."""
    for value in values:
        if isinstance(value, StrictMissing):
            raise_missing(value)


def _refuse(value: Any, description: str) -> Any:
    """Raises TemplateFault; for a missing value MissingValue, which says more. An `if` without `else` is nothing, and passes."""
    if isinstance(value, StrictMissing):
        raise_missing(value)
    if isinstance(value, Undefined):
        return value
    raise TemplateFault(description)
