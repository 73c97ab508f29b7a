"""Layouts, includes and blocks: what sources become, what is refused, and what a change of a partial reaches."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument
from mesh.stores.database import Database
from template_svc.errors import InvalidContents, PartialNotFound, PublishedMeanwhile
from template_svc.library import Library
from template_svc.models import Channel, Content, PartialKey, TemplateKey, VersionKey
from template_svc.partials.expansion import PartialFault, expand, named_in
from template_svc.partials.repository import PartialRepository
from template_svc.partials.use_cases import Partials
from template_svc.repository import TemplateRepository
from template_svc.scheduling import Scheduler, Standing
from template_svc.senders.book import SenderBook
from template_svc.use_cases import Authoring, Rendering
from tests.template_svc.factories import Clock, content_of, make_template, struct_bytes
from tests.template_svc.fakes import InlineProcesses, LimitedRenderer
from tests.template_svc.memory_senders import MemorySenders

PARTIALS = {
    "base.html": "<html>{% block head %}H{% endblock %}|{% block body %}B{% block inner %}I{% endblock %}{% endblock %}|"
    "{% include 'foot.html' %}</html>",
    "foot.html": "foot {{ x }}{# {% include 'z' %} #}{% raw %}{% include 'q' %}{% endraw %}",
    "mid.html": "{% extends 'base.html' %}{% block head %}M{{ super() }}{% endblock %}",
    "a": "{% include 'b' %}",
    "b": "{% include 'a' %}",
    **{f"deep{number}": f"{{% include 'deep{number + 1}' %}}" * 2 for number in range(12)},
    "wide": "x" * 100_000,
    "wide-block": f"{{% block a %}}{'x' * 9_000}{{% endblock %}}",
}
FOOT = "foot {{ x }}{# {% include 'z' %} #}{% raw %}{% include 'q' %}{% endraw %}"


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("plain, with include, extends and block as words", "plain, with include, extends and block as words"),
        ("a  {%- include 'foot.html' -%}  b", f"a{FOOT}b"),
        ("{% extends 'mid.html' %}", f"<html>MH|BI|{FOOT}</html>"),
        (
            "{% extends 'mid.html' %}\n{% block head %}C{{ super() }}{% endblock %}lost{% block inner %}c{% endblock inner %}",
            f"<html>CMH|Bc|{FOOT}</html>",
        ),
        ("{% block x %}y{% endblock %}{% if z %}{% include 'foot.html' %}{% endif %}", f"y{{% if z %}}{FOOT}{{% endif %}}"),
        ("{% set y = '%} include' %}{% include 'foot.html' %}", f"{{% set y = '%}} include' %}}{FOOT}"),
    ],
)
def test_partials_are_put_in_their_places(source: str, made: str) -> None:
    assert expand(source, PARTIALS) == made


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% include x %}", "take the name of a partial in quotes"),
        ("{% include 'foot.html' ignore missing %}", "take the name of a partial in quotes"),
        ("{% include 'none' %}", "there is no partial 'none'; PUT /v1/partials/none makes it"),
        ("x{% extends 'mid.html' %}", "extends must be the first thing"),
        ("{% block a %}", "the block 'a' is not closed"),
        ("{% endblock %}", "endblock without a block"),
        ("{% include 'a' %}", "'a' includes itself"),
        ("{% include 'deep0' %}", "more than 10 deep"),
        ("{% include 'wide' %}" * 5, "makes more than 400000 characters"),
        ("{% extends 'wide-block' %}{% block a %}" + "{{ super() }}" * 50 + "{% endblock %}", "makes more than 400000 characters"),
    ],
)
def test_what_can_not_be_put_together_is_refused(source: str, why: str) -> None:
    with pytest.raises(PartialFault) as caught:
        expand(source, PARTIALS)
    assert why in str(caught.value)


PIECES = [
    "{% include 'foot.html' %}",
    "{% extends 'base.html' %}",
    "{% block a %}",
    "{% endblock %}",
    "{{ super() }}",
    "{%",
    "%}",
    "'",
    '"',
    "x",
    "-",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_source_is_put_together_or_refused(source: str) -> None:
    try:
        made = expand(source, PARTIALS)
    except PartialFault:
        return
    assert isinstance(made, str)
    assert named_in(source) <= {"foot.html", "base.html"}


class Desk:
    """Templates and partials on a real database, rendered in this process."""

    def __init__(self, database: Database, renderer: LimitedRenderer) -> None:
        store, self.clock = TemplateRepository(database), Clock()
        library, partials = Library(store), PartialRepository(database)
        scheduler = Scheduler(InlineProcesses(renderer), Standing(lambda: 0.0))
        senders = MemorySenders()
        self.authoring = Authoring(store, partials, library, scheduler, self.clock, senders=senders)
        self.partials = Partials(partials, self.authoring, self.clock)
        self.rendering = Rendering(store, library, scheduler, SenderBook(senders))

    async def put(self, name: str, source: str) -> int:
        self.clock.advance(seconds=1)
        return (await self.partials.put(PartialKey(FIRST_PROJECT, name), source)).revision

    async def html(self, template: str) -> str:
        rendered = await self.rendering.preview(TemplateKey(FIRST_PROJECT, template), 0, "", struct_bytes({"name": "Ada"}))
        return content_of(rendered).html


@pytest.fixture
def desk(database: Database, renderer: LimitedRenderer) -> Desk:
    return Desk(database, renderer)


async def test_a_changed_layout_reaches_templates_when_they_are_rebuilt(desk: Desk) -> None:
    layout = PartialKey(FIRST_PROJECT, "layout.html")
    assert await desk.put("brand.html", '{% set brand = {"colour": "#111"} %}') == 1
    assert await desk.put("layout.html", "{% include 'brand.html' %}<p>{% block body %}{% endblock %}</p><b>{{ brand.colour }}</b>") == 1
    for name in ("welcome", "bye"):
        await desk.authoring.create_template(make_template(name, channel=Channel.EMAIL))
        body = "{% extends 'layout.html' %}{% block body %}" + name + " {{ name }}{% endblock %}"
        made = await desk.authoring.create_version(TemplateKey(FIRST_PROJECT, name), {"en": Content(subject="s", html=body)}, True)
        assert made.partials == {"layout.html": 1, "brand.html": 1}
        assert made.contents["en"].html == body
    assert await desk.html("welcome") == "<p>welcome Ada</p><b>#111</b>"

    assert await desk.put("layout.html", "{% include 'brand.html' %}<i>{% block body %}{% endblock %}</i>{{ brand.colour }}") == 2
    assert await desk.put("layout.html", "{% include 'brand.html' %}<i>{% block body %}{% endblock %}</i>{{ brand.colour }}") == 2
    partial, uses = await desk.partials.get(layout)
    assert [(use.template, use.version, use.revision) for use in uses] == [("bye", 1, 1), ("welcome", 1, 1)]
    assert await desk.html("welcome") == "<p>welcome Ada</p><b>#111</b>"
    looked = await desk.partials.rebuild(layout, validate_only=True)
    assert [tuple(each) for each in looked] == [("bye", 1, 0, ""), ("welcome", 1, 0, "")]
    done = await desk.partials.rebuild(layout, validate_only=False)
    assert [tuple(each) for each in done] == [("bye", 1, 2, ""), ("welcome", 1, 2, "")]
    assert await desk.html("welcome") == "<i>welcome Ada</i>#111"
    assert await desk.partials.rebuild(layout, validate_only=False) == []
    await desk.authoring.publish_version(VersionKey(FIRST_PROJECT, "welcome", 1))
    assert await desk.html("welcome") == "<p>welcome Ada</p><b>#111</b>"
    assert partial.update_time - desk.clock.now < timedelta(seconds=1)


async def test_a_rebuild_of_a_version_that_is_no_longer_in_use_leaves_nothing_behind(desk: Desk) -> None:
    await desk.put("foot.html", "<p>{{ name }}</p>")
    await desk.authoring.create_template(make_template("welcome"))
    key = TemplateKey(FIRST_PROJECT, "welcome")
    content = {"en": Content(subject="s", html="{% include 'foot.html' %}")}
    for _ in range(2):
        await desk.authoring.create_version(key, content, True)
    with pytest.raises(PublishedMeanwhile):
        await desk.authoring.rebuild(VersionKey(*key, 1), validate_only=False)
    template = await desk.authoring.get_template(key)
    assert (template.latest_version, template.published_version) == (2, 2)


async def test_a_template_that_a_new_revision_breaks_keeps_its_version(desk: Desk) -> None:
    await desk.put("foot.html", "<p>{{ name }}</p>")
    await desk.authoring.create_template(make_template("welcome"))
    key = TemplateKey(FIRST_PROJECT, "welcome")
    await desk.authoring.create_version(key, {"en": Content(subject="s", html="{% include 'foot.html' %}")}, True)
    await desk.put("foot.html", "<p>{{ name|nofilter }}</p>")
    [rebuilt] = await desk.partials.rebuild(PartialKey(FIRST_PROJECT, "foot.html"), validate_only=False)
    assert (rebuilt.new_version, "there is no filter 'nofilter'" in rebuilt.problem) == (0, True)
    assert await desk.html("welcome") == "<p>Ada</p>"
    await desk.partials.delete(PartialKey(FIRST_PROJECT, "foot.html"))
    with pytest.raises(PartialNotFound):
        await desk.partials.get(PartialKey(FIRST_PROJECT, "foot.html"))
    with pytest.raises(InvalidContents, match=r"there is no partial 'foot\.html'"):
        await desk.authoring.create_version(key, {"en": Content(subject="s", html="{% include 'foot.html' %}")}, True)
    assert await desk.put("foot.html", "<p>again {{ name }}</p>") == 3


async def test_a_partial_whose_blocks_are_open_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidArgument, match="the block 'body' is not closed"):
        await desk.put("layout.html", "{% block body %}")
    page = await desk.partials.list(FIRST_PROJECT, 1, "")
    assert not page.items
