"""Random templates from a grammar of the template language: most parse, many render, some are hostile."""

import random
from functools import partial

VARIABLES = ("a", "b", "c", "n")
_FILTERS = (
    "abs", "batch(2)", "capitalize", "count", "default('x')", "dictsort", "escape", "filesizeformat", "first", "float", "forceescape",
    "format(a)", "groupby('k')", "indent(3)", "int", "items", "join(', ')", "last", "length", "list", "lower", "map('upper')", "max", "min",
    "reject('odd')", "rejectattr('k')", "replace('a', 'bb')", "reverse", "round(2)", "select", "selectattr('k')", "sort", "string",
    "striptags", "sum", "title", "trim", "truncate(5)", "unique", "upper",
    "urlencode", "wordcount", "wordwrap(3)", "indent(a)", "join(a)", "trim(a)",
    "replace(a, b)", "batch(n)", "round(n)", "truncate(n)", "safe", "nosuch",
)  # fmt: skip
_TESTS = ("defined", "none", "odd", "even", "string", "mapping", "iterable", "divisibleby(3)", "in(a)", "eq(b)", "number", "true")
_OPERATORS = ("+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "and", "or", "in", "not in", "**")
_LITERALS = (
    "0",
    "1",
    "-1",
    "7",
    "999999999",
    "1e308",
    "0.1",
    "''",
    "'x'",
    "'é<&>'",
    "true",
    "none",
    "[]",
    "{}",
    "()",
    "'%s' * 99",
    "range(9)",
)
_TEXT = ("Hello ", "<b>", "</b>", "<a href='", "'>", "\n", "\r\n", "<script>", "\u2028", "&amp;", "{# note #}", "é", "   ")
_CALLS = ("range({0})", "namespace(v={0})", "joiner({0})", "a.items()", "a.get({0})", "a.split({0})", "a.upper()", "a.startswith({0})")


class Grammar:
    """Draws templates. Depth bounds what is nested by design; `hostile` ones are deep or costly on purpose."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def template(self) -> str:
        """One part of a version."""
        if self._chance.random() < 0.15:
            return self.hostile()
        return self._block(3)

    def hostile(self) -> str:
        """A template that costs much: deep, wide, doubled, or endless."""
        size = self._chance.choice((10, 60, 300, 3000))
        return self._chance.choice(
            (
                "{{ " + "(" * size + "1" + ")" * size + " }}",
                "{{ " + "[" * size + "]" * size + " }}",
                "{{ " + "-" * size + "1 }}",
                "{{ " + "not " * size + "a }}",
                "{% if a %}" * size + "{% endif %}" * size,
                "{% for x in range(99999) %}" * 3 + "x" + "{% endfor %}" * 3,
                "{% set t = (1,) %}" + "{% set t = (t, t) %}" * min(size, 60) + "{{ {t: 1} }}",
                "{% set s = 'x' %}" + "{% set s = s ~ s %}" * min(size, 60) + "{{ s }}",
                "{% set l = [a] %}" + "{% set l = l + l %}" * min(size, 60) + "{{ l|sort|join }}",
                "{{ 'x' * 999999999 }}",
                "{{ 9 * 9" + "999" * size + " }}",
                "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
                "{{ '%0999999999d'|format(1) }}{{ a|indent(999999999) }}",
                "{{ a" + "|upper" * size + " }}",
                "{{ a" + ".a" * size + " }}",
                "{{ a." + "__class__.__mro__" + " }}{{ ''['__class__'] }}",
            )
        )

    def _block(self, depth: int) -> str:
        return "".join(self._piece(depth) for _ in range(self._chance.randint(1, 5)))

    def _piece(self, depth: int) -> str:
        if depth == 0 or self._chance.random() < 0.3:
            return self._chance.choice(_TEXT)
        e = self._expression
        match self._chance.randrange(9):
            case 0:
                return f"{{% if {e(depth)} %}}{self._block(depth - 1)}{{% else %}}{self._block(depth - 1)}{{% endif %}}"
            case 1:
                return f"{{% for x in {e(depth)} %}}{{{{ loop.index }}}}{self._block(depth - 1)}{{% endfor %}}"
            case 2:
                return f"{{% set b = {e(depth)} %}}{self._block(depth - 1)}"
            case 3:
                return f"{{% with c = {e(depth)} %}}{self._block(depth - 1)}{{% endwith %}}"
            case 4:
                return f"{{% filter {self._chance.choice(_FILTERS)} %}}{self._block(depth - 1)}{{% endfilter %}}"
            case 5:
                return f"{{% macro m(x, y=1) %}}{self._block(depth - 1)}{{% endmacro %}}{{{{ m({e(1)}) }}}}"
            case _:
                return f"{{{{ {e(depth)} }}}}"

    def _expression(self, depth: int) -> str:
        chance = self._chance
        if depth <= 0 or chance.random() < 0.25:
            return chance.choice((*VARIABLES, *_LITERALS, "x", "loop"))
        e = partial(self._expression, depth - 1)
        match chance.randrange(9):
            case 0:
                return f"({e()} {chance.choice(_OPERATORS)} {e()})"
            case 1:
                return f"{e()}[{e()}]"
            case 2:
                return f"{chance.choice(VARIABLES)}.{chance.choice(('k', 'items', 'a', '0', 'upper'))}"
            case 3:
                return f"({e()} if {e()} else {e()})"
            case 4:
                return f"({e()} is {chance.choice(_TESTS)})"
            case 5:
                return chance.choice(_CALLS).format(e())
            case 6:
                return f"[{e()}, {e()}]" if chance.random() < 0.5 else f"{{{e()}: {e()}}}"
            case _:
                return f"{e()}|{chance.choice(_FILTERS)}"
