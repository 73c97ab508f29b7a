"""What an author is told before a version exists."""

from dataclasses import replace

import pytest

from mesh.errors import FieldViolation
from template_svc.contents import MAX_VERSION_SIZE, check_draft
from template_svc.errors import InvalidContents
from template_svc.models import Channel, Checked, Content, VersionDraft
from template_svc.renderer import Renderer
from tests.template_svc.factories import EMAIL, PUSH


def check(contents: dict[str, Content], channel: Channel = Channel.EMAIL, catalogs: dict[str, str] | None = None) -> Checked:
    return check_draft(VersionDraft(channel, "en", contents, catalogs or {}, {}), Renderer())


def faults(contents: dict[str, Content], channel: Channel = Channel.EMAIL) -> list[str]:
    """The violations as `field: description`."""
    with pytest.raises(InvalidContents) as caught:
        check(contents, channel)
    return [f"{violation.field}: {violation.description}" for violation in caught.value.violations]


def test_a_version_holds_canonical_locales_and_what_all_of_them_need() -> None:
    new = check({"EN": EMAIL, "pt_br": replace(EMAIL, subject="Olá")})
    assert (new.locales, new.required_variables) == ({"EN": "en", "pt_br": "pt-BR"}, ["name"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (replace(EMAIL, subject=""), "contents.en.subject: is required for email"),
        (replace(EMAIL, html="", text=" "), "contents.en: needs mjml, html or text"),
        (replace(EMAIL, title="t"), "contents.en.title: does not belong into a template for email"),
        (replace(EMAIL, data={"k": "v"}), "contents.en.data: does not belong into a template for email"),
        (replace(EMAIL, html="\0"), "contents.en.html: must not contain NUL characters"),
        (replace(EMAIL, html="ok\n{{ name"), "contents.en.html: line 2: unexpected end of template, expected 'end of print statement'."),
    ],
)
def test_an_unfit_mail_is_named_with_its_field(content: Content, expected: str) -> None:
    assert faults({"en": content}) == [expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (replace(PUSH, body=""), "contents.en.body: is required for push"),
        (replace(PUSH, title="\n"), "contents.en.title: is required for push"),
        (replace(PUSH, subject="s"), "contents.en.subject: does not belong into a template for push"),
        (replace(PUSH, image="http://a.example/x.png"), "contents.en.image: must be an https URL"),
        (replace(PUSH, image="https://"), "contents.en.image: must be an https URL"),
        (replace(PUSH, image="http://{{ host }}/x.png"), "contents.en.image: must be an https URL"),
        (replace(PUSH, data={"from": "x"}), "contents.en.data.from: is a key that Firebase Cloud Messaging reserves"),
        (replace(PUSH, data={"Google.x": "x"}), "contents.en.data.Google.x: is a key that Firebase Cloud Messaging reserves"),
        (replace(PUSH, data={"gcm.n": "x"}), "contents.en.data.gcm.n: is a key that Firebase Cloud Messaging reserves"),
        (replace(PUSH, data={"message_type": "x"}), "contents.en.data.message_type: is a key that Firebase Cloud Messaging reserves"),
        (replace(PUSH, data={"": "x"}), "contents.en.data.: a key must have 1 to 100 printable characters"),
        (replace(PUSH, data={"a\n": "x"}), "contents.en.data: a key must have 1 to 100 printable characters"),
        (replace(PUSH, data={"a": "\0"}), "contents.en.data.a: must not contain NUL characters"),
        (replace(PUSH, data={"a": "{{ 1"}), "contents.en.data.a: line 1: unexpected end of template, expected 'end of print statement'."),
    ],
)
def test_an_unfit_push_is_named_with_its_field(content: Content, expected: str) -> None:
    assert faults({"en": content}, Channel.PUSH) == [expected]


@pytest.mark.parametrize("image", ["https://a.example/x.png", "https://{{ host }}/x.png", "{{ url }}", "https{{ rest }}"])
def test_an_image_may_be_https_or_become_it(image: str) -> None:
    assert check({"en": replace(PUSH, image=image)}, Channel.PUSH).locales == {"en": "en"}


def test_every_fault_of_every_locale_is_told_at_once() -> None:
    found = faults({"en": replace(EMAIL, subject=""), "xx-YY": EMAIL, "pt": replace(EMAIL, text="{{"), "PT": EMAIL})
    assert [fault.partition(": ")[0] for fault in found] == ["contents.en.subject", "contents.xx-YY", "contents.pt.text", "contents.PT"]
    assert found[3] == "contents.PT: is the same locale as contents.pt"


def test_the_default_locale_has_to_be_there() -> None:
    assert faults({"pt": EMAIL}) == ["contents: must hold the template's default locale 'en'"]
    assert faults({}) == ["contents: is required"]


def test_a_translation_may_leave_a_variable_out() -> None:
    assert check({"en": EMAIL, "pt": Content(subject="Olá", text="Olá")}).required_variables == ["name"]


def test_a_variable_that_only_a_translation_needs_is_refused() -> None:
    """Senders look at the default locale: nobody would give it, and only some people's messages would fail."""
    assert faults({"en": EMAIL, "pt": replace(EMAIL, text="{{ nome }}")}) == [
        "contents.pt: needs 'nome', which the default locale 'en' does not mention"
    ]


def test_a_variable_that_the_default_locale_treats_as_optional_may_be_required_by_another() -> None:
    english = replace(EMAIL, text="{{ nick|default('you') }}")
    assert check({"en": english, "pt": replace(EMAIL, text="{{ nick }}")}).required_variables == ["name", "nick"]


def test_contents_that_are_too_large_together_are_refused_before_they_are_compiled() -> None:
    large = replace(EMAIL, html="{{" * (MAX_VERSION_SIZE // 4))
    assert faults({"en": large, "pt": large, "de": large}) == [
        f"contents: must have at most {MAX_VERSION_SIZE} characters in all, catalogs included"
    ]


def test_the_error_counts_what_it_does_not_tell_in_its_message() -> None:
    error = InvalidContents.because([FieldViolation("a", "is bad"), FieldViolation("b", "is bad")])
    assert error.message == "a: is bad (and 1 more)"
    assert error.reason == "INVALID_CONTENTS"


_MJML = "<mjml>\n<mj-body><mj-section><mj-column>\n<mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            Content("{{ a|x }}", mjml=_MJML.format("{{ b|y }}")),
            ["subject: line 1: there is no filter 'x'", "mjml: line 3: there is no filter 'y'"],
        ),
        (Content("s", mjml=_MJML.format('<a onclick="{{ b }}">b</a>')), ["mjml: a variable can't stand in the attribute onclick"]),
        (Content("s", html="<p>\n{{ b|y }}</p>"), ["html: line 2: there is no filter 'y'"]),
        (Content("s", html="<p>\n{{ b }}</p>", text="\n\n{{ b|y }}"), ["text: line 3: there is no filter 'y'"]),
    ],
)
def test_a_fault_is_said_once_where_the_author_sees_it(content: Content, expected: list[str]) -> None:
    """And not in the HTML or the text that is made of it."""
    found = faults({"en": content})
    assert len(found) == len(expected)
    assert all(any(said.startswith(f"contents.en.{one}") for said in found) for one in expected)


def test_a_misspelt_mark_of_sensitive_values_is_refused() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "Sensitive": True}}}
    with pytest.raises(InvalidContents) as caught:
        check_draft(VersionDraft(Channel.EMAIL, "en", {"en": EMAIL}, {}, schema), Renderer())
    assert [(each.field, each.description) for each in caught.value.violations] == [
        ("variables_schema.properties.name.Sensitive", "is no keyword, so that 'Sensitive' hides nothing; it is written 'sensitive'")
    ]
