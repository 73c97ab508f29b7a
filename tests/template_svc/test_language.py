"""What dates, numbers, plurals and lists look like in twelve languages, by the data of the CLDR, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ServiceError
from template_svc.models import Channel, Content
from template_svc.reader import locale_of, plural_classes, reader_of, right_to_left
from template_svc.renderer import PartFault, Renderer
from tests.template_svc.factories import START

# In a summer of the years whose rules are known: 2024-07-05T21:30:00Z.
MOMENT = "2024-07-05T21:30:00Z"
RENDERER = Renderer()

# Every plural class of every language: what counts is which of them is chosen.
FORMS = "zero='# zero', one='# one', two='# two', few='# few', many='# many', other='# other'"

# locale, time zone, date, time, number, money, plurals of 0, 1, 2, 5 and 21, list. Spaces as CLDR has them are shown as plain ones.
GOLDEN = [
    ("en", "UTC", "Jul 5, 2024", "9:30 PM", "1,234.5", "€1,234.50", "other one other other other", "Ada, Bo, and Cy"),
    ("en-GB", "Europe/London", "5 Jul 2024", "22:30", "1,234.5", "€1,234.50", "other one other other other", "Ada, Bo and Cy"),
    ("de", "Europe/Berlin", "05.07.2024", "23:30", "1.234,5", "1.234,50 €", "other one other other other", "Ada, Bo und Cy"),
    ("fr", "Europe/Paris", "5 juil. 2024", "23:30", "1 234,5", "1 234,50 €", "one one other other other", "Ada, Bo et Cy"),
    ("pt-BR", "America/Sao_Paulo", "5 de jul. de 2024", "18:30", "1.234,5", "€ 1.234,50", "one one other other other", "Ada, Bo e Cy"),
    ("pl", "Europe/Warsaw", "5 lip 2024", "23:30", "1 234,5", "1 234,50 €", "many one few many many", "Ada, Bo i Cy"),
    ("cs", "Europe/Prague", "5. 7. 2024", "23:30", "1 234,5", "1 234,50 €", "other one few other other", "Ada, Bo a Cy"),
    ("ru", "Asia/Vladivostok", "6 июл. 2024 г.", "07:30", "1 234,5", "1 234,50 €", "many one few many one", "Ada, Bo и Cy"),
    ("ar", "Africa/Cairo", "06\u200f/07\u200f/2024", "12:30 ص", "1,234.5", "\u200f1,234.50 €", "zero one two few many", "Ada وBo وCy"),
    ("he", "Asia/Jerusalem", "6 ביולי 2024", "0:30", "1,234.5", "\u200f1,234.50 \u200f€", "other one two other other", "Ada, Bo וCy"),
    ("ja", "Asia/Tokyo", "2024/07/06", "6:30", "1,234.5", "€1,234.50", "other other other other other", "Ada、Bo、Cy"),
    ("zh-Hant", "Asia/Taipei", "2024年7月6日", "清晨5:30", "1,234.5", "€1,234.50", "other other other other other", "Ada、Bo和Cy"),
    ("hi", "Asia/Kolkata", "6 जुल॰ 2024", "3:00 am", "1,234.5", "€1,234.50", "one one other other other", "Ada, Bo और Cy"),
]


def show(source: str, locale: str = "en", zone: str = "", /, **variables: Any) -> str:
    """The text that the source makes for a reader."""
    compiled = RENDERER.compile(Content(subject="s", text=f"{source}|"), Channel.EMAIL, locale)
    return RENDERER.render(compiled, variables, "contents.x", reader_of(locale, zone, START)).text[:-1]


def plain(text: str) -> str:
    """CLDR's no-break spaces as plain ones."""
    return text.replace("\u202f", " ").replace("\xa0", " ")


@pytest.mark.parametrize(
    ("locale", "zone", "date", "time", "number", "money", "plurals", "names"), GOLDEN, ids=lambda value: str(value)[:7]
)
def test_values_in_twelve_languages(
    locale: str, zone: str, date: str, time: str, number: str, money: str, plurals: str, names: str
) -> None:
    given = {"at": MOMENT, "n": 1234.5, "names": ["Ada", "Bo", "Cy"]}
    source = "{{ at|date }}|{{ at|time }}|{{ n|number }}|{{ n|currency('EUR') }}|{{ names|and_list }}"
    assert plain(show(source, locale, zone, **given)).split("|") == [date, time, number, money, names]
    assert [show(f"{{{{ plural(n, {FORMS}) }}}}", locale, n=n).split()[1] for n in (0, 1, 2, 5, 21)] == plurals.split()


@given(st.sampled_from(["en", "pl", "ar", "ru", "cs", "fr", "ja", "sl", "cy", "lt"]), st.integers(0, 2000))
def test_the_forms_that_a_language_has_are_enough_for_every_whole_number(locale: str, count: int) -> None:
    assert Locale.parse(locale).plural_form(count) in plural_classes(locale)


def test_a_british_reader_of_an_english_text_gets_british_dates() -> None:
    compiled = RENDERER.compile(Content(subject="s", text="{{ at|date('long') }}"), Channel.EMAIL, "en")
    assert RENDERER.render(compiled, {"at": MOMENT}, "p", reader_of("en-GB", "", START)).text == "5 July 2024"


def test_one_moment_is_written_in_the_zone_of_each_reader() -> None:
    shown = [plain(show("{{ at|datetime('short') }}", "en", zone, at=MOMENT)) for zone in ("", "Asia/Tokyo", "America/Sao_Paulo", "")]
    assert shown == ["7/5/24, 9:30 PM", "7/6/24, 6:30 AM", "7/5/24, 6:30 PM", "7/5/24, 9:30 PM"]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ '2030-01-31'|date('full') }}", "Thursday, January 31, 2030"),
        ("{{ '2030-01-31'|date('MMMMd') }}", "January 31"),
        ("{{ '2030-01-31T23:30:00-02:00'|date }}", "Feb 1, 2030"),
        ("{{ '2030-01-31T15:04:60Z'|time('medium', timezone='Asia/Tokyo') }}", "12:04:59 AM"),
        ("{{ '2030-01-31T15:04:05.123456789+05:30'|datetime('short') }}", "1/31/30, 9:34 AM"),
        ("{{ later|relative }}, {{ earlier|relative }}", "in 3 hours, 2 days ago"),
        ("{{ 1234.5|number(2) }} {{ 5|number(0) }} {{ 0.256|percent }} {{ 0.256|percent(1) }}", "1,234.50 5 26% 25.6%"),
        ("{{ 1234.5|currency('JPY') }} {{ 1|currency('USD', digits=0) }}", "¥1,234 $1"),
        ("{{ 3|unit('kilometer') }} {{ 1.5|unit('kilobyte', 'short') }}", "3 kilometers 1.5 kB"),
        ("{{ ['a']|or_list }}{{ []|and_list }} {{ ['a', 'b']|or_list }}", "a a or b"),
        ("{{ ordinal(2, one='#st', two='#nd', few='#rd', other='#th') }}", "2nd"),
        ("{{ ordinal(13, one='#st', two='#nd', few='#rd', other='#th') }}", "13th"),
        ("{{ select('x', f='her', other='their') }} {{ select('f', f='her', other='their') }}", "their her"),
        ("{{ plural(1000000, one='# row', other='# rows') }}", "1,000,000 rows"),
        ("{{ plural(1.5, one='# row', other='# rows') }}", "1.5 rows"),
        ("{% if 1 is plural('one') %}yes{% endif %}{% if 2 is plural('one', 'two') %}no{% endif %}", "yes"),
    ],
)
def test_what_the_filters_make(source: str, shown: str) -> None:
    later, earlier = (START + timedelta(hours=3)).isoformat(), (START - timedelta(days=2)).isoformat()
    assert plain(show(source, later=later, earlier=earlier)) == shown


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ 'tomorrow'|date }}", "date needs a time of RFC 3339"),
        ("{{ 5|date }}", "date needs a time of RFC 3339"),
        ("{{ '2030-02-30'|date }}", "date needs a time of RFC 3339"),
        ("{{ '2030-01-31'|time }}", "needs a time with its offset"),
        ("{{ '2030-01-31T15:04:05'|datetime }}", "of RFC 3339"),
        ("{{ '0001-01-01T00:00:00Z'|datetime(timezone='America/New_York') }}", "outside of the years"),
        ("{{ '2030-01-31'|date('xx') }}", "a skeleton of CLDR"),
        ("{{ '2030-01-31'|date('vvvv') }}", "no pattern for the skeleton"),
        ("{{ '2030-01-31T15:04:05Z'|time(timezone='Mars/Olympus') }}", "IANA time zone"),
        ("{{ '2030-01-31T15:04:05Z'|time(timezone='../../etc/passwd') }}", "IANA time zone"),
        ("{{ '2030-01-31T15:04:05Z'|time(timezone='localtime') }}", "IANA time zone"),
        ("{{ 'x'|number }}", "number must be a number"),
        ("{{ 1|currency }}", "currency needs the argument code"),
        ("{{ 1|currency('euro') }}", "ISO 4217"),
        ("{{ 1|currency('ZZZ') }}", "ISO 4217"),
        ("{{ 1|unit('furlongish') }}", "one of CLDR"),
        ("{{ 'ab'|and_list }}", "needs a list"),
        ("{{ plural('x', one='a', other='b') }}", "plural must be a number"),
        ("{{ plural(1, 2, one='a', other='b') }}", "takes the number first"),
    ],
)
def test_what_does_not_fit_is_refused_in_plain_words(source: str, why: str) -> None:
    with pytest.raises((ServiceError, PartFault)) as caught:
        show(source)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("locale", "source", "why"),
    [
        ("pl", "{{ plural(n, one='# plik', other='# plików') }}", "plural lacks 'few' and 'many', which whole numbers have in Polish"),
        ("en", "{{ plural(n, one='# file') }}", "plural needs the form 'other'"),
        ("en", "{{ plural(n, oen='# file', other='# files') }}", "there is no plural form 'oen'; did you mean 'one'?"),
        ("en", "{{ select(n, f='her') }}", "select needs the form 'other'"),
        ("en", "{{ plurals(n) }}", "did you mean 'plural'?"),
    ],
)
def test_a_plural_without_a_form_of_its_language_is_refused_when_it_is_made(locale: str, source: str, why: str) -> None:
    with pytest.raises(PartFault) as caught:
        RENDERER.compile(Content(subject="s", text=source), Channel.EMAIL, locale)
    assert why in caught.value.description


@given(st.text(alphabet="<>&\"'ab", min_size=1, max_size=10))
def test_what_a_variable_brings_into_html_stays_escaped(value: str) -> None:
    sources = [
        "{{ plural(1, one=x, other=x) }}", "{{ select('a', a=x, other='') }}", "{{ [x, x|e, x]|and_list }}", "{{ select(x, other=x|e) }}",
        "{% trans %}{{ x }}{% endtrans %}", "{% trans n=1, y=x %}{{ y }}{% pluralize n %}{{ y }}{{ n }}{% endtrans %}",
    ]  # fmt: skip
    for source in sources:
        compiled = RENDERER.compile(Content(subject="s", html=f"({source})"), Channel.EMAIL, "en")
        assert not set(RENDERER.render(compiled, {"x": value}, "p", reader_of("en", "", START)).html) & set("<>\"'"), source


def test_a_locale_that_the_cldr_does_not_know_is_read_as_the_nearest() -> None:
    assert [str(locale_of(tag)) for tag in ("en-US-u-va-posix", "zh-TW", "de-XX", "tlh", "")] == [
        "en_US",
        "zh_Hant_TW",
        "de",
        "root",
        "root",
    ]
    assert [right_to_left(tag) for tag in ("ar", "he", "ur", "az-Arab", "en")] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("locale", "html", "made"),
    [
        ("ar", "<p>x</p>", '<div lang="ar" dir="rtl"><p>x</p></div>'),
        ("ar", "<html><p>x</p></html>", '<html lang="ar" dir="rtl"><p>x</p></html>'),
        ("he", '<html class="a" DIR="ltr"><p>x</p></html>', '<html lang="he" class="a" DIR="ltr"><p>x</p></html>'),
        ("en", "<!doctype html><html><p>x</p></html>", '<!doctype html><html lang="en"><p>x</p></html>'),
        ("en", "<p>x</p>", "<p>x</p>"),
    ],
)
def test_html_says_its_language_and_its_direction(locale: str, html: str, made: str) -> None:
    compiled = RENDERER.compile(Content(subject="s", html=html), Channel.EMAIL, locale)
    assert RENDERER.render(compiled, {}, "p", reader_of(locale, "", START)).html == made


def test_a_negative_zero_is_written_like_zero_and_changes_no_other_text() -> None:
    """The two are equal, and what one made was remembered for the other."""
    source = "{{ n|number }} {{ n|currency('EUR') }} {{ n|percent }} {{ plural(n, one='#', other='#') }} {{ n|unit('kilometer') }}"
    assert show(source, n=-0.0) == show(source, n=0.0) == "0 €0.00 0% 0 0 kilometers"


def test_the_hour_that_the_clock_shows_twice_has_two_names() -> None:
    """Both times are 02:30 there, so that they are equal without their zones."""
    shown = [show("{{ t|datetime('full') }}", "en", "Europe/Paris", t=f"2030-10-27T0{hour}:30:00Z") for hour in (0, 1)]
    assert [text.partition("2:30:00\u202fAM ")[2] for text in shown] == ["Central European Summer Time", "Central European Standard Time"]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("ar-Latn", False), ("ky-CN", True), ("tg-Arab", True), ("ms-CC", True), ("tr-Arab", True), ("ota", True), ("sd-Deva", False),
     ("ff-Adlm", True), ("syr", True), ("dv", True), ("pa-PK", True), ("pa", False), ("zh-TW", False)],
)  # fmt: skip
def test_the_script_decides_the_direction(tag: str, expected: bool) -> None:
    assert right_to_left(tag) is expected


@pytest.mark.parametrize("written", ["n|number", "n|currency('EUR')", "n|percent", "n|unit('day')", "plural(n, one='#', other='#')"])
def test_a_number_that_can_not_be_written_says_so(written: str) -> None:
    for value in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ServiceError, match="infinite or no number"):
            show(f"{{{{ {written} }}}}", n=value)
    with pytest.raises(ServiceError, match="more digits than there can be"):
        show(f"{{{{ {written} }}}}", n=1e300)
    assert show(f"{{{{ {written} }}}}", n=1e18)
