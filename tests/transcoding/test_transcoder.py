"""Path, body and query to requests, and responses back, for every form of google.api.http binding."""

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message

from mesh.errors import InvalidArgument
from mesh.rpc.methods import Method, methods_of
from tests.transcoding import schema
from tests.transcoding.fakes import FakeInvoker, FakeReadiness
from transcoding.app import RestApp, RestOptions
from transcoding.codec import Codec
from transcoding.http_rule import Match, RouteConflict
from transcoding.transcoder import Binding, BindingError, HttpRule, bind_all

EDGE = Codec(short_enums=True, print_defaults=False)
METHODS = methods_of(schema.library())
ROUTER, BINDINGS = bind_all(METHODS, EDGE)


def transcode(method: str, path: str, query: str = "", body: Any = None) -> tuple[str, Any]:
    found = ROUTER.find(method, path)
    assert isinstance(found, Match), found
    raw = b"" if body is None else json.dumps(body).encode()
    return found.target.method.name, found.target.request(found.values, query, raw)


def refused(method: str, path: str, query: str = "", body: Any = None) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        transcode(method, path, query, body)
    return {violation.field: violation.description for violation in caught.value.violations}


def request(name: str, **fields: Any) -> Message:
    return schema.message_class(name)(**fields)


def test_a_body_that_is_one_field_leaves_the_rest_to_path_and_query() -> None:
    assert transcode("POST", "/v1/shelves/7/books", "validate_only=true", {"title": "Emma"}) == (
        "CreateBook",
        request("CreateBookRequest", parent="shelves/7", book={"title": "Emma"}, validate_only=True),
    )


def test_a_body_that_is_the_whole_request_leaves_nothing_to_the_query() -> None:
    assert transcode("POST", "/v1/books", body={"parent": "x", "book": {"title": "Emma"}, "validateOnly": True}) == (
        "CreateBook",
        request("CreateBookRequest", parent="x", book={"title": "Emma"}, validate_only=True),
    )
    assert refused("POST", "/v1/books", "validate_only=true", {}) == {"validate_only": "is not a query parameter of this request"}


def test_path_variables_are_typed() -> None:
    name, message = transcode("POST", "/v1/books/a%2Fb/copies/3:lend", body={"reader": "Ada"})
    assert (name, message) == ("LendBook", request("LendBookRequest", id="a/b", copy=3, reader="Ada"))
    assert refused("POST", "/v1/books/a/copies/x:lend") == {"copy": "must be a whole number from -2147483648 to 2147483647"}


def test_a_body_may_repeat_what_the_path_says_but_not_contradict_it() -> None:
    assert transcode("POST", "/v1/books/a/copies/3:lend", body={"id": "a", "copy": 3})[1] == request("LendBookRequest", id="a", copy=3)
    assert refused("POST", "/v1/books/a/copies/3:lend", body={"id": "b"}) == {"id": "must be the same as in the path"}
    assert refused("PUT", "/v1/books/a", body={"id": "b"}) == {"book.id": "must be the same as in the path"}


def test_an_empty_body_is_an_empty_object() -> None:
    assert transcode("POST", "/v1/books/a/copies/3:lend")[1] == request("LendBookRequest", id="a", copy=3)
    assert transcode("PUT", "/v1/books/a")[1] == request("UpdateBookRequest", book={"id": "a"})


def test_without_a_body_binding_everything_comes_from_the_query() -> None:
    query = (
        "genre=science&any_genre=short_story&anyGenre=GENRE_SCIENCE&minPages=10&created_after=2026-01-31T12:00:00%2B01:00"
        "&author.name=Jane+Austen&author.born=1775&tags=a&tags=b%26c&lent=false&lent_for=1.5s&min_mark=2.5&min_sold=9007199254740993"
        "&cover=YWI&ascending=title&read_mask=title,page_count"
    )
    name, message = transcode("GET", "/v1/books", query)
    assert name == "ListBooks"
    assert message == request(
        "ListBooksRequest",
        genre=1,
        any_genre=[2, 1],
        min_pages=10,
        created_after={"seconds": 1769857200},
        author={"name": "Jane Austen", "born": 1775},
        tags=["a", "b&c"],
        lent={"value": False},
        lent_for={"seconds": 1, "nanos": 500_000_000},
        min_mark=2.5,
        min_sold=9007199254740993,
        cover=b"ab",
        ascending="title",
        read_mask={"paths": ["title", "page_count"]},
    )
    assert message.HasField("lent")


def test_a_type_that_holds_itself_can_be_reached_by_a_path_of_eight() -> None:
    assert transcode("GET", "/v1/books", "author.real.real.name=x")[1].author.real.real.name == "x"
    deep = "author" + ".real" * 8 + ".name"
    assert refused("GET", "/v1/books", f"{deep}=x") == {deep: "is not a query parameter of this request"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("foo=1", {"foo": "is not a query parameter of this request"}),
        ("author=1", {"author": "is not a query parameter of this request"}),
        ("authors.name=1", {"authors.name": "is not a query parameter of this request"}),
        ("extra=1", {"extra": "is not a query parameter of this request"}),
        ("genre.x=1", {"genre.x": "is not a query parameter of this request"}),
        ("=1", {"(no name)": "is not a query parameter of this request"}),
        ("genre=poem", {"genre": "must be one of: science, short_story"}),
        ("genre=", {"genre": "must be one of: science, short_story"}),
        ("minPages=many", {"min_pages": "must be a whole number from -2147483648 to 2147483647"}),
        ("minPages=1&min_pages=2", {"min_pages": "must be given once"}),
        ("min_mark=x", {"min_mark": "must be a number"}),
        ("lent=yes", {"lent": "must be true or false"}),
        ("created_after=today", {"created_after": "must be a time in RFC 3339 form, such as 2026-01-31T12:00:00Z"}),
        ("author.born=x", {"author.born": "must be a whole number from -2147483648 to 2147483647"}),
        ("ascending=a&descending=b", {"descending": "must not be set together with ascending"}),
        ("foo=1&genre=x", {"foo": "is not a query parameter of this request", "genre": "must be one of: science, short_story"}),
    ],
)
def test_a_bad_parameter_is_named_with_its_rule(query: str, expected: dict[str, str]) -> None:
    found = refused("GET", "/v1/books", query)
    assert {name: rule.partition("; did you mean ")[0] for name, rule in found.items()} == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [("tags=%ff", "the query does not decode to UTF-8"), ("&".join(["tags=x"] * 201), "the query has more than 200 parameters")],
)
def test_a_query_that_can_not_be_read_is_refused(query: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        transcode("GET", "/v1/books", query)


def test_what_the_path_or_the_body_binds_is_no_parameter() -> None:
    assert refused("GET", "/v1/books/7", "id=8") == {"id": "is not a query parameter of this request"}
    assert refused("PUT", "/v1/books/7", "book.title=x", {}) == {"book.title": "is not a query parameter of this request"}


def test_a_body_where_none_is_bound_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="takes no body"):
        transcode("DELETE", "/v1/books/7", body={})


def test_patch_without_a_mask_changes_the_fields_that_the_body_names() -> None:
    plain = {"id": "7", "title": "Emma", "pageCount": None}
    nested = {"author": {"name": "Jane", "real": {}}, "extra": {"a": {"b": 1}}, "notes": {"1": "x"}}
    _, message = transcode("PATCH", "/v1/books/7", body=plain | nested)
    assert list(message.update_mask.paths) == ["title", "page_count", "author.name", "author.real", "extra", "notes"]
    assert message.book.id == "7"


def test_patch_with_a_mask_keeps_it() -> None:
    _, message = transcode("PATCH", "/v1/books/7", "update_mask=title,author.name", {"title": "Emma"})
    assert list(message.update_mask.paths) == ["title", "author.name"]
    _, message = transcode("PATCH", "/v1/books/7", "updateMask=*", {"title": "Emma"})
    assert list(message.update_mask.paths) == ["*"]


def test_put_makes_no_mask() -> None:
    assert not transcode("PUT", "/v1/books/7", body={"title": "Emma"})[1].HasField("update_mask")


def test_the_errors_of_a_one_field_body_carry_the_fields_name() -> None:
    assert refused("PATCH", "/v1/books/7", body={"title": 1, "foo": 2}) == {
        "book.title": "must be a string",
        "book.foo": "is not a field of this request",
    }
    assert refused("PATCH", "/v1/books/7", body=[1]) == {"book": "must be an object"}


def binding(method: str, path: str) -> Binding:
    found = ROUTER.find(method, path)
    assert isinstance(found, Match)
    return found.target


def test_a_response_is_whole_or_its_one_field() -> None:
    answer = request("ListBooksResponse", books=[{"id": "7", "genre": 2}], titles=["Emma"])
    assert json.loads(binding("GET", "/v1/books").response(answer)) == {"books": [{"id": "7", "genre": "short_story"}], "titles": ["Emma"]}
    assert json.loads(binding("GET", "/v1/books:titles").response(answer)) == ["Emma"]
    assert json.loads(binding("GET", "/v1/books:titles").response(request("ListBooksResponse"))) == []
    assert json.loads(binding("GET", "/v1/books/7").response(request("GetBookResponse", book={"id": "7"}))) == {"id": "7"}
    assert json.loads(binding("GET", "/v1/books/7").response(request("GetBookResponse"))) == {}


def test_paths_and_custom_kinds_route() -> None:
    assert transcode("GET", "/v1/pages/a/b%2Fc") == ("ReadPage", request("ReadPageRequest", path="a/b%2Fc"))
    assert transcode("REPORT", "/v1/pages:report", "path=x") == ("ReadPage", request("ReadPageRequest", path="x"))


def test_a_method_without_a_rule_has_no_path() -> None:
    assert "Hidden" not in {binding.method.name for binding in BINDINGS}


@pytest.mark.parametrize(
    "rule",
    [
        HttpRule("GET", "/v1/x/{nope}", "", ""),
        HttpRule("GET", "/v1/x/{authors}", "", ""),
        HttpRule("GET", "/v1/x/{author}", "", ""),
        HttpRule("GET", "/v1/x/{tags}", "", ""),
        HttpRule("GET", "/v1/x/{extra.a}", "", ""),
        HttpRule("POST", "/v1/x", "nope", ""),
        HttpRule("POST", "/v1/x", "author.name", ""),
        HttpRule("GET", "/v1/x", "", "nope"),
    ],
)
def test_a_rule_that_does_not_fit_its_method_is_refused_at_start_up(rule: HttpRule) -> None:
    with pytest.raises(BindingError, match=r"/edgetest\.v1\.LibraryService/ListBooks"):
        Binding(METHODS["/edgetest.v1.LibraryService/ListBooks"], rule, EDGE)


def test_to_the_letter_names_and_enums_are_json_s() -> None:
    router, _ = bind_all(METHODS, Codec())
    found = router.find("GET", "/v1/books")
    assert isinstance(found, Match)
    message = found.target.request({}, "anyGenre=GENRE_SCIENCE&any_genre=2", b"")
    assert list(message.any_genre) == [1, 2]  # type: ignore[attr-defined]  # a dynamic message
    with pytest.raises(InvalidArgument) as caught:
        found.target.request({}, "min_pages=x", b"")
    assert caught.value.violations[0].field == "minPages"
    answer = request("ListBooksResponse", books=[{"page_count": 3, "genre": 1, "sold": 5}])
    assert json.loads(found.target.response(answer)) == {"books": [{"pageCount": 3, "genre": "GENRE_SCIENCE", "sold": "5"}]}


def test_every_binding_of_clarion_s_own_schema_fits() -> None:
    names = ("notification.v1.NotificationService", "notification.v1.DeadLetterService", "user.v1.UserService", "user.v1.AuthService")
    modules = (
        "clarion.notification.v1.notification_service_pb2",
        "clarion.notification.v1.dead_letter_service_pb2",
        "clarion.user.v1.user_service_pb2",
        "clarion.user.v1.auth_service_pb2",
        "clarion.template.v1.template_service_pb2",
    )
    for module in modules:
        __import__(module)
    pool = descriptor_pool.Default()
    methods: dict[str, Method] = {}
    for name in (*names, "template.v1.TemplateService"):
        methods |= methods_of(pool.FindServiceByName(f"clarion.{name}"))
    _, bindings = bind_all(methods, EDGE)
    assert len(bindings) > 30


def test_two_methods_on_one_path_are_refused_at_start_up() -> None:
    """The same method under a second name claims all its paths twice."""
    invoker = FakeInvoker(schema.library())
    name = "/edgetest.v1.LibraryService/GetBook"
    invoker.methods[name + "Again"] = invoker.methods[name]
    with pytest.raises(RouteConflict, match=r"GET /v1/books/\{id\} is bound twice"):
        RestApp(invoker, readiness=FakeReadiness(), options=RestOptions())
