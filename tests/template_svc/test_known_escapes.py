"""Ways out of Jinja2's sandbox that were published, rebuilt: each is refused when it is made, or ends without having reached Python."""

import pytest

from mesh.errors import ServiceError
from template_svc.models import Channel, Content
from template_svc.renderer import PartFault, Renderer
from tests.template_svc.factories import READER

RENDERER = Renderer()
ESCAPES = [
    # CVE-2016-10745, CVE-2019-10906: format and format_map look attributes up in Python
    "{{ '{0.__class__.__mro__}'.format(x) }}",
    "{{ '{x.__class__}'.format_map({'x': x}) }}",
    "{{ ('%s' % '{0.__class__}').format(x) }}",
    # CVE-2024-56326: a reference to str.format handed to a filter
    "{{ ['{0.__class__}']|map('format', x)|join }}",
    "{% set f = '{0.__class__}'.format %}{{ f(x) }}",
    "{{ ('{0.__class__}'.format)|list }}",
    # CVE-2025-27516: attr finds format where getattr does not
    "{{ ('{0.__class__}'|attr('format'))(x) }}",
    "{{ x|attr('__class__') }}",
    # CVE-2024-56201: a name that becomes Python source
    "{% macro f(a='\"')%}{% endmacro %}{{ f() }}{% from 'a\" + x' import y %}",
    # CVE-2020-28493, CVE-2024-22195, CVE-2024-34064: urlize and xmlattr
    "{{ ('a.' * 3)|urlize }}",
    "{{ {'a b=': x}|xmlattr }}",
    "{{ {'a/onload=alert(1)//': x}|xmlattr }}",
    # the ways that cheat sheets list
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x['__class__'] }}",
    "{{ x['__cla' ~ 'ss__'] }}",
    "{{ [].append.__self__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ plural.__globals__ }}",
    "{{ plural.__class__ }}",
    "{{ select.__init__ }}",
    "{{ (x|groupby('a')).__class__ }}",
    "{{ loop.__class__ }}",
    "{% for i in [1] %}{{ loop._iterable }}{{ loop.__class__ }}{% endfor %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m.__call__ }}{{ m._func }}",
    "{{ config }}{{ request }}{{ url_for.__globals__ }}",
    "{{ x.__class__ }}{{ x|map(attribute='__class__')|list }}",
    "{{ [x]|map(attribute='__class__')|first }}",
    "{{ [x]|sum(attribute='__class__') }}",
    "{{ [x]|groupby('__class__') }}",
    "{{ [x]|selectattr('__class__')|list }}",
    "{{ x is sameas(x.__class__) }}",
    "{% include x %}{% include '/etc/passwd' %}{% extends '../../etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% trans x=x.__class__ %}{{ x }}{% endtrans %}",
    "{% trans n=1, y=x['__class__'] %}{{ y }}{% pluralize n %}{{ y }}{% endtrans %}",
    "{{ gettext('%(x)s', x=x.__class__) }}",
    "{{ _('a') }}",
    "{% autoescape false %}{{ x }}{% endautoescape %}",
    "{% do x.append(1) %}",
    "{% set x.y = 1 %}",
    "{% debug %}",
    "{{ 1|date(timezone='../../../etc/passwd') }}",
    "{{ 1|currency('__class__') }}",
    "{{ ['{0.__class__}']|and_list }}{{ ['{0}', '{1}']|or_list }}{{ x.__class__ }}",
]


@pytest.mark.parametrize("part", ["html", "text"])
@pytest.mark.parametrize("source", ESCAPES)
def test_a_published_way_out_is_closed(source: str, part: str) -> None:
    content = Content(subject="s", html=source) if part == "html" else Content(subject="s", text=source)
    with pytest.raises((PartFault, ServiceError)) as caught:
        RENDERER.render(RENDERER.compile(content, Channel.EMAIL, "en"), {"x": {"a": 1}}, "contents.en", READER)
    said = f"{caught.value} {getattr(caught.value, 'description', '')}"
    assert not any(name in said for name in ("<class", "object at", "Traceback", "jinja2", "root:"))
