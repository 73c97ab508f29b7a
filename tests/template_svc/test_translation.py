"""`{% trans %}` with a catalogue: what is translated, what stays, and what is refused."""

import gettext
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ServiceError
from template_svc.catalogs import CatalogFault, read_catalog, write_catalog
from template_svc.contents import check_draft
from template_svc.errors import InvalidContents
from template_svc.models import Channel, Checked, Content, NewVersion, VersionDraft, messages_of
from template_svc.reader import reader_of
from template_svc.renderer import Renderer
from tests.template_svc.factories import START

RENDERER = Renderer()
FILES = "{% trans count=n %}One file for {{ name }}{% pluralize %}{{ count }} files for {{ name }}{% endtrans %}"
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: %s\\n"\n\n'
POLISH = HEADER % "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);" + (
    'msgid "Hello %(name)s"\nmsgstr "Cześć, %(name)s"\n\n'
    'msgid "One file for %(name)s"\nmsgid_plural "%(count)s files for %(name)s"\n'
    'msgstr[0] "%(name)s ma plik"\nmsgstr[1] "%(name)s ma %(count)s pliki"\nmsgstr[2] "%(name)s ma %(count)s plików"\n\n'
    'msgctxt "button"\nmsgid "Open"\nmsgstr "Otwórz"\n\nmsgid "100% sure"\nmsgstr "Na 100%"\n'
)
SOURCE = Content(
    subject="{% trans %}Hello {{ name }}{% endtrans %}",
    text=FILES + '|{% trans "button" %}Open{% endtrans %}|{% trans %}100% sure{% endtrans %}',
)


def version(contents: dict[str, Content], catalogs: dict[str, str]) -> NewVersion:
    found: Checked = check_draft(VersionDraft(Channel.EMAIL, "en", contents, catalogs, {}), RENDERER)
    return NewVersion(
        {found.locales[tag]: content for tag, content in contents.items()}, tuple(found.required_variables), derived=found.derived,
        catalogs=found.catalogs, messages=messages_of(found.messages), unused=found.unused,
    )  # fmt: skip


def show(made: NewVersion, locale: str, /, **variables: Any) -> Content:
    compiled = RENDERER.compile(made.finished("en")[locale], Channel.EMAIL, locale, stored=True)
    return RENDERER.render(compiled, variables, "p", reader_of(locale, "", START))


def refusal(contents: dict[str, Content], catalogs: dict[str, str]) -> str:
    with pytest.raises(InvalidContents) as caught:
        check_draft(VersionDraft(Channel.EMAIL, "en", contents, catalogs, {}), RENDERER)
    return "; ".join(f"{each.field}: {each.description}" for each in caught.value.violations)


def test_a_catalogue_translates_what_is_marked() -> None:
    made = version({"en": SOURCE}, {"PL": POLISH})
    assert show(made, "pl", name="Ada", n=1).subject == "Cześć, Ada"
    assert [show(made, "pl", name="Ada", n=n).text for n in (1, 3, 5, 22)] == [
        f"{files}|Otwórz|Na 100%" for files in ("Ada ma plik", "Ada ma 3 pliki", "Ada ma 5 plików", "Ada ma 22 pliki")
    ]
    assert [show(made, "en", name="Ada", n=n).text for n in (1, 2)] == [
        f"{files}|Open|100% sure" for files in ("One file for Ada", "2 files for Ada")
    ]
    assert made.required_variables == ("n", "name")
    assert [tuple(report) for report in made.completeness()] == [("en", 4, 4, ()), ("pl", 4, 4, ())]


def test_what_is_fuzzy_empty_or_missing_stays_as_it_was_written() -> None:
    """In the plural of the language that it was written in: 21 is singular in Russian, and no English text says "21 file"."""
    catalog = (
        HEADER % "nplurals=3; plural=0;" + '#, fuzzy\nmsgid "Hello %(name)s"\nmsgstr "?"\n\nmsgctxt "button"\nmsgid "Open"\nmsgstr ""\n'
    )
    made = version({"en": SOURCE}, {"ru": catalog})
    content = show(made, "ru", name="Ada", n=21)
    assert (content.subject, content.text) == ("Hello Ada", "21 files for Ada|Open|100% sure")
    assert made.completeness()[1].translated == 0


def test_what_is_written_for_translators_is_read_back() -> None:
    made = version({"en": SOURCE}, {"pl": POLISH})
    text = write_catalog("pl", made.messages, made.catalogs["pl"]["forms"], "welcome")
    assert version({"en": SOURCE}, {"pl": text}).catalogs["pl"]["forms"] == made.catalogs["pl"]["forms"]
    assert text == write_catalog("pl", made.messages, made.catalogs["pl"]["forms"], "welcome")
    empty = write_catalog("ar", made.messages, {}, "welcome")
    assert empty.count('msgstr[5] ""') == 1
    assert "nplurals=6" in empty


def test_translations_are_guarded_where_the_translator_has_put_the_variable() -> None:
    source = Content(subject="s", html="<p>{% trans %}See {{ url }}{% endtrans %}</p>", text="t")
    catalog = HEADER % "nplurals=2; plural=n != 1;" + 'msgid "See %(url)s"\nmsgstr "<a href=\\"%(url)s\\">hier</a>"\n'
    made = version({"en": source}, {"de": catalog})
    assert show(made, "de", url="https://x.example/?a&b").html == '<p><a href="https://x.example/?a&amp;b">hier</a></p>'
    with pytest.raises(ServiceError, match="takes only http"):
        show(made, "de", url="javascript:alert(1)")
    script = HEADER % "nplurals=2; plural=n != 1;" + 'msgid "See %(url)s"\nmsgstr "<script>%(url)s</script>"\n'
    assert "catalogs.de.html" in refusal({"en": source}, {"de": script})


@pytest.mark.parametrize(
    ("catalog", "why"),
    [
        ("", "catalogs.de: is not a gettext PO file, or has no entry"),
        ("hello", "catalogs.de: line 1"),
        (HEADER % "nplurals=2; plural=n/0;" + 'msgid "a"\nmsgstr "b"\n', "is no formula of gettext"),
        (HEADER % "nplurals=2; plural=n%7;" + 'msgid "a"\nmsgstr "b"\n', "gives forms beyond nplurals=2"),
        (HEADER % "nplurals=2; plural=__import__('os');" + 'msgid "a"\nmsgstr "b"\n', "is no formula of gettext"),
        (HEADER % ("nplurals=2; plural=" + "(" * 300 + "n" + ")" * 300 + ";") + 'msgid "a"\nmsgstr "b"\n', "is no formula of gettext"),
        (HEADER % "nplurals=2; plural=n != 1;" + 'msgid "Hello %(name)s"\nmsgstr "Hallo %(nmae)s"\n', "uses 'nmae'"),
        (HEADER % "nplurals=2; plural=n != 1;" + 'msgid "One file for %(name)s"\nmsgstr "x"\n', "has no plural, unlike the template"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_a_catalogue_that_can_not_be_right_is_refused(catalog: str, why: str) -> None:
    assert why in refusal({"en": SOURCE}, {"de": catalog})


def test_a_locale_has_a_content_or_a_catalogue_and_there_is_something_to_translate() -> None:
    assert refusal({"en": SOURCE, "pl": SOURCE}, {"pl": POLISH}) == "catalogs.pl: is the same locale as contents.pl"
    assert "translates nothing" in refusal({"en": Content(subject="s", text="t")}, {"pl": POLISH})
    assert refusal({"en": SOURCE}, {"xx-YY": POLISH}) == "catalogs.xx-YY: is not a known BCP 47 locale such as en or pt-BR"


def test_a_content_that_leaves_a_variable_out_is_reported() -> None:
    made = version({"en": SOURCE, "de": Content(subject="Hallo {{ name }}", text="t")}, {})
    assert [report.unused_variables for report in made.completeness()] == [("n",), ()]


@given(st.text(max_size=300))
def test_any_text_is_a_catalogue_or_is_refused(text: str) -> None:
    with suppress(CatalogFault):
        assert read_catalog(text, "de", ())[0].forms == {}


@given(
    st.dictionaries(
        st.text(alphabet='abc %()sñ"\\\n', min_size=1, max_size=20), st.text(alphabet='xyz %"\\\nß', min_size=1, max_size=20), max_size=5
    )
)
def test_every_text_survives_the_file(translations: dict[str, str]) -> None:
    messages = messages_of([["text", 1, "", text, "", []] for text in translations])
    written = write_catalog("de", messages, {text: [translated] for text, translated in translations.items()}, "t")
    if messages:
        assert read_catalog(written, "de", messages)[0].forms == {text: (translated,) for text, translated in translations.items()}


@given(st.sampled_from(["pl", "ar", "lv", "sl", "ga", "fr"]), st.integers(0, 5000))
def test_forms_are_chosen_as_gettext_chooses_them(locale: str, count: int) -> None:
    made = version({"en": Content(subject="s", text="{% trans n=n %}a{% pluralize %}b{% endtrans %}")}, {})
    empty = write_catalog(locale, made.messages, {}, "t")
    forms = {key: [str(index) for index in range(empty.count("msgstr["))] for key in (made.messages[0].key,)}
    translated = version(
        {"en": Content(subject="s", text="{% trans n=n %}a{% pluralize %}b{% endtrans %}")},
        {locale: write_catalog(locale, made.messages, forms, "t")},
    )
    formula = translated.catalogs[locale]["formula"]
    assert show(translated, locale, n=count).text == str(gettext.c2py(formula)(count))


TINY = messages_of([["html", 1, "", "Hello %(name)s", "", ["name"]], ["html", 2, "", "One", "%(n)s files", ["n"]]])


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "unicode_escape", "no-such-one", "utf-7", "idna"])
def test_a_catalogue_is_a_text_whatever_encoding_its_header_names(charset: str) -> None:
    header = f'msgid ""\nmsgstr "Content-Type: text/plain; charset={charset}\\nPlural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'
    translations, problems = read_catalog(f'\ufeff{header}msgid "Hello %(name)s"\nmsgstr "Olá %(name)s"\n', "pt", TINY)
    assert (dict(translations.forms), problems) == ({"Hello %(name)s": ("Olá %(name)s",)}, [])


@pytest.mark.parametrize(
    ("translated", "half"),
    [("Olá %(name)d", "%(name)d"), ("Olá %(name) s", "%(name) "), ("Olá %(name", "%(name"), ("%()s %(name)s", "%()s")],
)
def test_half_a_placeholder_is_no_translation(translated: str, half: str) -> None:
    """It would be sent as it stands there."""
    _, problems = read_catalog(HEADER % "nplurals=2; plural=n != 1;" + f'msgid "Hello %(name)s"\nmsgstr "{translated}"\n', "pt", TINY)
    assert [problem.partition(" has ")[2] for problem in problems] == [f"{half!r}, which is no placeholder; they are written like %(name)s"]


def test_a_sign_for_percent_is_no_placeholder() -> None:
    catalog = HEADER % "nplurals=2; plural=n != 1;" + 'msgid "Hello %(name)s"\nmsgstr "100% Olá %(name)s, 5 %% (%) %s"\n'
    assert read_catalog(catalog, "pt", TINY)[1] == []


@pytest.mark.parametrize("line", ['msgstr "Olá', 'msgstr "Olá \\"', 'msgstr ""\n"Olá', 'msgstr[0] "Olá'])
def test_a_text_that_is_not_closed_is_refused(line: str) -> None:
    """Babel would leave its last character out."""
    with pytest.raises(CatalogFault, match="closing quotation mark"):
        read_catalog(HEADER % "nplurals=2; plural=n != 1;" + f'msgid "Hello %(name)s"\n{line}\n', "pt", TINY)


def test_a_formula_without_a_value_for_a_number_takes_the_last_form() -> None:
    entry = 'msgid "One"\nmsgid_plural "%(n)s files"\nmsgstr[0] "um"\nmsgstr[1] "%(n)s outros"\n'
    source = {"en": Content(subject="s", text="{% trans n=n %}One{% pluralize %}{{ n }} files{% endtrans %}")}
    made = version(source, {"pt": HEADER % "nplurals=2; plural=n == 77777 ? 1/0 : n != 1;" + entry})
    assert [show(made, "pt", n=n).text for n in (1, 2, 77777)] == ["um", "2 outros", "77777 outros"]
