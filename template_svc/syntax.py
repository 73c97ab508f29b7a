"""What a template's source says before it is run: whether it keeps to the language, and which variables it needs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from jinja2 import UndefinedError, meta, nodes

from naming.variables import PERSON
from template_svc.reader import PLURAL_CLASSES, locale_of, plural_classes
from template_svc.sandbox import DICT_METHODS, MAX_INTEGER_BITS, TEXT_METHODS

# Compiling costs some 30 us a node, so this is 0.2 s at worst; a usual mail has about 100.
MAX_NODES = 6000
# More faults of one part than an author reads at once.
MAX_FAULTS = 20
FUNCTIONS = frozenset({"range", "namespace", "joiner", "plural", "ordinal", "select"})
_WITH_FORMS = frozenset({"plural", "ordinal", "select"})

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.NSRef, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Filter, nodes.Test, nodes.For, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict,
    nodes.Pair, nodes.Assign, nodes.AssignBlock, nodes.FilterBlock, nodes.With, nodes.Macro, nodes.Call, nodes.Keyword,
)  # fmt: skip
_FORBIDDEN_NAMES = frozenset({"self", "super", "caller", "varargs", "kwargs"})
_WORDS: dict[type[nodes.Node], str] = {
    nodes.Block: "block", nodes.Extends: "extends", nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from ... import",
    nodes.CallBlock: "call", nodes.Scope: "autoescape", nodes.Pow: "the operator **",
}  # fmt: skip


class SyntaxFault(Exception):
    """The source leaves the language; `line` is where."""

    def __init__(self, line: int, description: str) -> None:
        super().__init__(description)
        self.line = line
        self.description = description


@dataclass(slots=True)
class Variables:
    """`required`: a rendering may need them. `known`: mentioned at all, also behind `is defined` or with a `default`."""

    required: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)


def check(tree: nodes.Template, filters: Collection[str], tests: Collection[str], locale: str) -> list[SyntaxFault]:
    """What templates may not use, filters, tests, functions and methods that do not exist, and plurals that lack a form of the language;
    at most MAX_FAULTS.
    """
    line, faults = 1, list[SyntaxFault]()
    vocabulary = _Vocabulary(tree, filters, tests, locale)
    for count, node in enumerate(_walk(tree)):
        line = node.lineno or line  # what Jinja2 makes up itself has none
        if count > MAX_NODES:
            return [SyntaxFault(line, "the template is too complex; move work to the sender")]
        problem = _problem(node) or vocabulary.problem(node)
        if problem is not None and len(faults) < MAX_FAULTS:
            faults.append(SyntaxFault(line, problem))
    return faults


class _Vocabulary:
    """The names that can be called: what exists, and what the template makes itself."""

    def __init__(self, tree: nodes.Template, filters: Collection[str], tests: Collection[str], locale: str) -> None:
        self._filters = filters
        self._tests = tests
        self._locale = locale
        made = self._made = {node.name for node in tree.find_all(nodes.Name) if node.ctx in {"store", "param"}}
        self._callable = FUNCTIONS | made | {macro.name for macro in tree.find_all(nodes.Macro)}
        self._methods = TEXT_METHODS | DICT_METHODS | {"cycle"} | {reference.attr for reference in tree.find_all(nodes.NSRef)}

    def problem(self, node: nodes.Node) -> str | None:
        """What is wrong with a use of something that does not exist."""
        if isinstance(node, nodes.Filter):
            if node.name not in self._filters:
                return _no_such("filter", node.name, self._filters)
            return self._handed_on(node)
        if isinstance(node, nodes.Test) and node.name not in self._tests:
            return _no_such("test", node.name, self._tests)
        if isinstance(node, nodes.Call):
            called = node.node
            if isinstance(called, nodes.Name) and called.name not in self._callable:
                return _no_such("function", called.name, self._callable)
            if isinstance(called, nodes.Name) and called.name in _WITH_FORMS - self._made:
                return self._forms(called.name, [keyword.key for keyword in node.kwargs])
            if isinstance(called, nodes.Getattr) and called.attr not in self._methods:
                return _no_such("method", called.attr, self._methods)
        return None

    def _forms(self, function: str, given: list[str]) -> str | None:
        """`plural` has a form for each class that whole numbers have in the content's language."""
        if function != "select" and (unknown := [form for form in given if form not in PLURAL_CLASSES]):
            return _no_such("plural form", unknown[0], PLURAL_CLASSES)
        if "other" not in given:
            return f"{function} needs the form 'other'"
        missing = [form for form in plural_classes(self._locale) if form not in given] if function == "plural" else []
        if missing:
            language = locale_of(self._locale).english_name or self._locale
            return f"plural lacks {' and '.join(map(repr, missing))}, which whole numbers have in {language}"
        return None

    def _handed_on(self, node: nodes.Filter) -> str | None:
        """`map` takes the name of a filter, `select` and its like the name of a test."""
        position = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}.get(node.name)
        if position is None or len(node.args) <= position:
            return None
        name = node.args[position]
        kind, existing = ("filter", self._filters) if node.name == "map" else ("test", self._tests)
        if isinstance(name, nodes.Const) and isinstance(name.value, str) and name.value not in existing:
            return _no_such(kind, name.value, existing)
        return None


# What other engines and languages have for what is there under another name.
_INSTEAD = {
    **dict.fromkeys(("ngettext", "npgettext", "pluralize"), "`plural(n, one='# file', other='# files')` has the forms of every language"),
    **dict.fromkeys(
        ("strftime", "isoformat", "toLocaleDateString"), "the filters `date`, `time` and `datetime` write times for each reader"
    ),
    **dict.fromkeys(
        ("toFixed", "format_number", "intcomma", "toLocaleString"), "the filters `number` and `currency` write numbers for each reader"
    ),
    **dict.fromkeys(("toUpperCase", "toLowerCase"), "the filters are called `upper` and `lower`"),
}


def _no_such(kind: str, name: str, existing: Collection[str]) -> str:
    near = get_close_matches(name, [each for each in existing if each.isidentifier()], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"docs/templates.md lists every {kind}"
    return f"there is no {kind} {name!r}; {_INSTEAD.get(name, hint)}"


def _problem(node: nodes.Node) -> str | None:
    if not isinstance(node, _ALLOWED):
        return f"{_WORDS.get(type(node), 'this construct')} is not available in templates"
    if isinstance(node, nodes.Name) and node.name in _FORBIDDEN_NAMES:
        return f"the name {node.name!r} is reserved"
    if isinstance(node, nodes.Const) and type(node.value) is int and node.value.bit_length() > MAX_INTEGER_BITS:
        return "a number is too large"
    if isinstance(node, nodes.For) and node.recursive:
        return "recursive loops are not available in templates"
    if isinstance(node, nodes.Call | nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
        return "`*` and `**` arguments are not available in templates"
    if isinstance(node, nodes.Pair) and not isinstance(node.key, nodes.Const):
        return "the key of an object must be a constant"
    return None


def variables_of(tree: nodes.Template) -> Variables:
    """The variables that the template takes from outside."""
    finder = _Finder()
    finder.statements(tree.body, set())
    # A name that the template sets later on in the same scope is its own inside of loops before that: Jinja2 does not look it up.
    try:
        looked_up = meta.find_undeclared_variables(tree) | FUNCTIONS
    except UndefinedError:  # a constant expression that can never be evaluated: compiling and rendering have their own words for it
        return finder.found
    return Variables((finder.found.required & looked_up) - {PERSON}, finder.found.known & looked_up)


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    # with a stack of its own, since a hostile source nests deeper than Python recurses
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(list(current.iter_child_nodes())))


class _Finder:
    """Follows the order of evaluation with the set of names that are `settled`: set by the template, or known to be given."""

    def __init__(self) -> None:
        self.found = Variables()

    def statements(self, body: list[nodes.Node], settled: set[str]) -> None:
        """`settled` grows by what the statements set."""
        for node in body:
            self._statement(node, settled)

    def _statement(self, node: nodes.Node, settled: set[str]) -> None:
        if isinstance(node, nodes.If):
            self._if(node, settled)
        elif isinstance(node, nodes.For):
            self._for(node, settled)
        elif isinstance(node, nodes.Assign):
            self._expression(node.node, settled)
            self._settle(node.target, settled)
        elif isinstance(node, nodes.AssignBlock | nodes.FilterBlock):
            self.statements(node.body, set(settled))
            if node.filter is not None:
                self._expression(node.filter, settled)
            if isinstance(node, nodes.AssignBlock):
                self._settle(node.target, settled)
        elif isinstance(node, nodes.With):
            inner = set(settled)
            for value, target in zip(node.values, node.targets, strict=True):
                self._expression(value, settled)
                self._settle(target, inner)
            self.statements(node.body, inner)
        elif isinstance(node, nodes.Macro):
            settled.add(node.name)
            for default in node.defaults:
                self._expression(default, settled)
            self.statements(node.body, settled | {argument.name for argument in node.args})
        else:
            self._expression(node, settled)

    def _if(self, node: nodes.If, settled: set[str]) -> None:
        ends: list[set[str]] = []
        otherwise = set(settled)
        for branch in (node, *node.elif_):
            self._expression(branch.test, otherwise)
            inner = otherwise | _implied(branch.test, True)
            self.statements(branch.body, inner)
            ends.append(inner)
            otherwise |= _implied(branch.test, False)
        self.statements(node.else_, otherwise)
        settled |= set.intersection(otherwise, *ends)

    def _for(self, node: nodes.For, settled: set[str]) -> None:
        self._expression(node.iter, settled)
        inner = set(settled)
        self._settle(node.target, inner)
        inner.add("loop")
        if node.test is not None:
            self._expression(node.test, inner)
            inner |= _implied(node.test, True)
        self.statements(node.body, inner)
        self.statements(node.else_, set(settled))

    def _settle(self, target: nodes.Node, settled: set[str]) -> None:
        for name in [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name):
            settled.add(name.name)
        for reference in [target] if isinstance(target, nodes.NSRef) else target.find_all(nodes.NSRef):
            self._name(reference.name, settled)

    def _expression(self, node: nodes.Node, settled: set[str]) -> None:
        if isinstance(node, nodes.Name):
            self._name(node.name, settled)
        elif isinstance(node, nodes.And | nodes.Or):
            self._expression(node.left, settled)
            self._expression(node.right, settled | _implied(node.left, isinstance(node, nodes.And)))
        elif isinstance(node, nodes.CondExpr):
            self._expression(node.test, settled)
            self._expression(node.expr1, settled | _implied(node.test, True))
            if node.expr2 is not None:
                self._expression(node.expr2, settled | _implied(node.test, False))
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in FUNCTIONS:
            self._children(node, settled, leaving_out=node.node)
        elif (name := _tolerated(node)) is not None:
            self.found.known |= {name.name} - settled
            self._children(node, settled, leaving_out=name)
        else:
            self._children(node, settled)

    def _children(self, node: nodes.Node, settled: set[str], *, leaving_out: nodes.Node | None = None) -> None:
        for child in node.iter_child_nodes():
            if child is not leaving_out:
                self._expression(child, settled)

    def _name(self, name: str, settled: set[str]) -> None:
        if name not in settled:
            self.found.known.add(name)
            self.found.required.add(name)


def _tolerated(node: nodes.Node) -> nodes.Name | None:
    """The name in `name is defined`, `name is undefined` or `name|default(...)`, which need no value."""
    tolerant = (isinstance(node, nodes.Filter) and node.name in {"default", "d"}) or (
        isinstance(node, nodes.Test) and node.name in {"defined", "undefined"}
    )
    return node.node if tolerant and isinstance(node, nodes.Filter | nodes.Test) and isinstance(node.node, nodes.Name) else None


def _implied(test: nodes.Node, outcome: bool) -> set[str]:
    """The names that are certainly given when `test` had this outcome."""
    if isinstance(test, nodes.Not):
        return _implied(test.node, not outcome)
    if isinstance(test, nodes.And | nodes.Or):
        left, right = _implied(test.left, outcome), _implied(test.right, outcome)
        return left | right if isinstance(test, nodes.And) is outcome else left & right
    if isinstance(test, nodes.Test) and isinstance(test.node, nodes.Name) and test.name in {"defined", "undefined"}:
        return {test.node.name} if (test.name == "defined") is outcome else set()
    return set()
