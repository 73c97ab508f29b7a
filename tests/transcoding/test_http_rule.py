"""Path templates and routing by google.api.http."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoding.http_rule import ANY_METHOD, MalformedPath, Match, NoMatch, RouteConflict, Router, TemplateError, parse_template


def router(*bindings: str) -> Router[str]:
    """A router whose targets are the bindings' own texts, such as `GET /v1/users/{id}`."""
    built: Router[str] = Router()
    for binding in bindings:
        method, _, template = binding.partition(" ")
        built.add(method, parse_template(template), binding)
    return built


def found(built: Router[str], method: str, path: str) -> tuple[str, dict[str, str]]:
    match = built.find(method, path)
    assert isinstance(match, Match), match
    return match.target, match.values


def allowed(built: Router[str], method: str, path: str) -> set[str]:
    match = built.find(method, path)
    assert isinstance(match, NoMatch), match
    return set(match.allowed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1/users",
        "/",
        "/v1//users",
        "/v1/users/",
        "/{id",
        "/{}",
        "/{1d}",
        "/{a={b}}",
        "/{a=}",
        "/{a.}",
        "/a:",
        "/a:b:c",
        "/**/a",
        "/{a=**}/b",
        "/{a}/{a}",
        "/a b",
        "/%zz",
        "/a:b/c",
    ],
)
def test_a_template_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


def test_a_template_error_names_the_template_and_the_place() -> None:
    with pytest.raises(TemplateError, match=r"'/v1/\{id', character 8: expected '\}'"):
        parse_template("/v1/{id")


def test_a_variable_takes_one_segment_and_decodes_it_in_full() -> None:
    built = router("GET /v1/suppressions/{address}")
    assert found(built, "GET", "/v1/suppressions/a%2Fb%40c%C3%A9+d") == (
        "GET /v1/suppressions/{address}",
        {"address": "a/b@cé+d"},
    )
    assert allowed(built, "GET", "/v1/suppressions/a/b") == set()
    assert allowed(built, "GET", "/v1/suppressions/") == set()


def test_a_multi_segment_variable_keeps_encoded_slashes() -> None:
    built = router("GET /v1/{name=shelves/*/books/*}")
    assert found(built, "GET", "/v1/shelves/a%2Fb/books/c%2fd%20e") == (
        "GET /v1/{name=shelves/*/books/*}",
        {"name": "shelves/a%2Fb/books/c%2fd e"},
    )
    assert allowed(built, "GET", "/v1/shelves/a/films/b") == set()


def test_a_double_star_takes_zero_or_more_segments() -> None:
    built = router("GET /files/{path=**}", "GET /trees/{path=root/**}:list")
    assert found(built, "GET", "/files")[1] == {"path": ""}
    assert found(built, "GET", "/files/a")[1] == {"path": "a"}
    assert found(built, "GET", "/files/a//b%2Fc")[1] == {"path": "a//b%2Fc"}
    assert found(built, "GET", "/trees/root:list")[1] == {"path": "root"}
    assert found(built, "GET", "/trees/root/a/b:list")[1] == {"path": "root/a/b"}
    assert allowed(built, "GET", "/trees/other:list") == set()


def test_wildcards_outside_variables_match_without_a_value() -> None:
    built = router("GET /a/*/c", "GET /b/**")
    assert found(built, "GET", "/a/x/c") == ("GET /a/*/c", {})
    assert found(built, "GET", "/b/x/c") == ("GET /b/**", {})


def test_literals_win_over_variables_whatever_the_order_of_binding() -> None:
    for built in (
        router("GET /v1/users/me", "GET /v1/users/{id}", "GET /v1/{rest=**}"),
        router("GET /v1/{rest=**}", "GET /v1/users/{id}", "GET /v1/users/me"),
    ):
        assert found(built, "GET", "/v1/users/me")[0] == "GET /v1/users/me"
        assert found(built, "GET", "/v1/users/you") == ("GET /v1/users/{id}", {"id": "you"})
        assert found(built, "GET", "/v1/users/you/devices") == ("GET /v1/{rest=**}", {"rest": "users/you/devices"})


def test_a_literal_that_leads_nowhere_gives_way_to_the_variable() -> None:
    built = router("GET /v1/users/me", "GET /v1/{kind}/{id}/devices")
    assert found(built, "GET", "/v1/users/me/devices")[1] == {"kind": "users", "id": "me"}


def test_an_escaped_literal_is_the_same_literal() -> None:
    built = router("GET /v1/users/{id}")
    assert found(built, "GET", "/v1/u%73ers/7")[1] == {"id": "7"}


def test_the_verb_is_told_from_the_segment_by_its_last_colon() -> None:
    built = router("POST /v1/notes/{id}:cancel", "GET /v1/notes/{id}", "POST /v1/notes:batch", "POST /v1/notes")
    assert found(built, "POST", "/v1/notes/a:b:cancel") == ("POST /v1/notes/{id}:cancel", {"id": "a:b"})
    assert found(built, "POST", "/v1/notes:batch")[0] == "POST /v1/notes:batch"
    assert found(built, "GET", "/v1/notes/a:other")[1] == {"id": "a:other"}
    assert found(built, "GET", "/v1/notes/a%3Acancel")[1] == {"id": "a:cancel"}


def test_a_known_verb_under_another_method_is_a_wrong_method_and_no_id() -> None:
    built = router("POST /v1/notes/{id}:cancel", "GET /v1/notes/{id}")
    assert allowed(built, "GET", "/v1/notes/a:cancel") == {"POST"}


def test_a_wrong_method_tells_all_the_right_ones() -> None:
    built = router("GET /v1/users/{id}", "PATCH /v1/users/{id}", "DELETE /v1/users/{id}", "POST /v1/users/me")
    assert allowed(built, "PUT", "/v1/users/7") == {"GET", "PATCH", "DELETE"}
    assert allowed(built, "PUT", "/v1/users/me") == {"GET", "PATCH", "DELETE", "POST"}
    assert allowed(built, "PUT", "/v2/users/me") == set()


def test_a_method_of_its_own_wins_over_the_custom_kind_of_all_methods() -> None:
    built = router(f"{ANY_METHOD} /v1/echo", "GET /v1/echo")
    assert found(built, "GET", "/v1/echo")[0] == "GET /v1/echo"
    assert found(built, "BREW", "/v1/echo")[0] == "* /v1/echo"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GET /v1/users/{id}", "GET /v1/users/{name}"),
        ("GET /v1/users/{id}", "GET /v1/users/*"),
        ("POST /v1/users:batch", "POST /v1/users:batch"),
        ("GET /v1/{a=**}", "GET /v1/**"),
    ],
)
def test_two_bindings_of_one_shape_conflict(first: str, second: str) -> None:
    with pytest.raises(RouteConflict, match="bound twice"):
        router(first, second)


def test_shapes_that_differ_in_method_or_verb_live_side_by_side() -> None:
    router("GET /v1/users/{id}", "PUT /v1/users/{id}", "GET /v1/users/{id}:watch", "GET /v1/users/{id=**}")


@pytest.mark.parametrize("path", ["/v1/users/%", "/v1/users/%zz", "/v1/users/%a", "/v1/users/%ff", "/v1/%ff/7"])
def test_a_malformed_escape_is_told_apart_from_an_unknown_path(path: str) -> None:
    with pytest.raises(MalformedPath):
        router("GET /v1/users/{id}").find("GET", path)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_encoding_into_a_variable(value: str) -> None:
    built = router("GET /v1/things/{id}:read", "GET /v1/things/{id}")
    assert found(built, "GET", f"/v1/things/{quote(value, safe='')}")[1] == {"id": value}
    assert found(built, "GET", f"/v1/things/{quote(value, safe='')}:read")[1] == {"id": value}


@given(st.text())
def test_no_path_makes_the_router_fail_otherwise_than_by_its_own_error(path: str) -> None:
    built = router("GET /v1/things/{id}", "GET /v1/{name=a/**}:read", "POST /{x}/{y}/c")
    try:
        result = built.find("GET", path)
    except MalformedPath:
        return
    assert isinstance(result, Match | NoMatch)
