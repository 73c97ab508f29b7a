"""The OpenAPI document and the page made of it say what the edge does."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no stubs

from clarion.notification.v1 import notification_service_pb2
from gateway.rest import INFO, ClarionAnnotations, schema_comments
from mesh.rpc.methods import methods_of
from scripts import lint_openapi
from tests.transcoding import schema
from transcoding.codec import Codec
from transcoding.comments import read_comments
from transcoding.docs_page import docs_page
from transcoding.http_rule import parse_template
from transcoding.integer_pattern import integer_pattern
from transcoding.openapi import ApiInfo, openapi_document, openapi_path
from transcoding.transcoder import bind_all


@pytest.fixture(scope="module")
def document() -> Any:
    codec = Codec(short_enums=True, print_defaults=True)
    _, bindings = bind_all(methods_of(schema.library()), codec)
    return openapi_document(bindings, codec, ApiInfo(), schema.load(), ClarionAnnotations())


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/books/{id}", "/v1/books/{id}"),
        ("/v1/{parent=shelves/*}/books", "/v1/shelves/{parent}/books"),
        ("/v1/{name=shelves/*/books/*}:read", "/v1/shelves/{name.1}/books/{name.2}:read"),
        ("/v1/pages/{path=**}", "/v1/pages/{path}"),
        ("/v1/*/x", "/v1/{segment1}/x"),
    ],
)
def test_a_template_is_told_without_wildcards(template: str, path: str) -> None:
    assert openapi_path(parse_template(template)) == path


def test_every_binding_is_an_operation_of_its_own(document: Any) -> None:
    operations = {(path, kind): operation["operationId"] for path, item in document["paths"].items() for kind, operation in item.items()}
    assert operations["/v1/shelves/{parent}/books", "post"] == "LibraryService_CreateBook"
    assert operations["/v1/books", "post"] == "LibraryService_CreateBook_2"
    assert operations["/v1/books/{id}:watch", "get"] == "LibraryService_WatchBook"
    assert len(set(operations.values())) == len(operations)
    assert not any("Hidden" in name for name in operations.values())


def test_an_operation_tells_its_words_status_scope_and_errors(document: Any) -> None:
    operation = document["paths"]["/v1/shelves/{parent}/books"]["post"]
    assert operation["summary"] == "CreateBook adds a book"
    assert operation["description"] == "CreateBook adds a book. It is answered at once."
    assert operation["x-scope"] == "books:write"
    assert operation["security"] == [{"bearer": []}]
    assert list(operation["responses"]) == ["201", "4XX", "default"]
    assert operation["responses"]["201"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/Book"
    assert document["paths"]["/v1/books/{id}"]["get"]["security"] == []


def test_parameters_are_what_path_and_body_leave(document: Any) -> None:
    create = document["paths"]["/v1/shelves/{parent}/books"]["post"]
    assert [(item["name"], item["in"]) for item in create["parameters"]] == [
        ("parent", "path"),
        ("validate_only", "query"),
        ("Idempotency-Key", "header"),
    ]
    names = [item["name"] for item in document["paths"]["/v1/books"]["get"]["parameters"]]
    assert {"genre", "any_genre", "author.name", "author.born", "author.real.name", "lent", "read_mask"} <= set(names)
    assert not {"extra", "authors", "author"} & set(names)
    lend = document["paths"]["/v1/books/{id}/copies/{copy}:lend"]["post"]
    assert list(lend["requestBody"]["content"]["application/json"]["schema"]["properties"]) == ["reader"]


def test_a_schema_carries_comments_and_limits(document: Any) -> None:
    book, given = document["components"]["schemas"]["Book"], document["components"]["schemas"]["BookInput"]
    assert "required" not in book, "an answer may leave out what is empty"
    assert (given["required"], given["additionalProperties"]) == (["title"], False)
    assert given["properties"]["title"] == {
        "type": "string",
        "maxLength": 100,
        "minLength": 1,
        "description": "Its title, 1 to 100 characters.",
    }
    assert book["properties"]["title"] == {"type": "string", "maxLength": 100, "description": "Its title, 1 to 100 characters."}
    assert given["properties"]["notes"]["type"] == ["object", "null"]
    assert {"type": "null"} in given["properties"]["genre"]["anyOf"]
    assert book["properties"]["page_count"]["maximum"] == 10000
    assert book["properties"]["tags"]["maxItems"] == 5
    assert book["properties"]["sold"] == {"type": "string", "format": "int64", "description": "Copies sold."}
    assert book["properties"]["notes"]["additionalProperties"] == {"type": "string"}
    assert document["components"]["schemas"]["Genre"]["enum"] == ["science", "short_story"]


def test_what_the_codec_prints_fits_the_schema(document: Any) -> None:
    """The document describes the answers that the edge really gives."""
    response = schema.message_class("ListBooksResponse")(
        books=[
            {
                "id": "7",
                "title": "Emma",
                "genre": 2,
                "page_count": 3,
                "author": {"name": "Jane", "real": {"born": 1775}},
                "sold": 5,
                "create_time": {"seconds": 1},
            }
        ]
    )
    printed = Codec(short_enums=True, print_defaults=True).to_value(response)
    node = {"$ref": "#/components/schemas/ListBooksResponse", "components": document["components"]}
    Draft202012Validator(node).validate(printed)


def test_the_page_escapes_what_it_shows() -> None:
    codec = Codec(short_enums=True)
    _, bindings = bind_all(methods_of(schema.library()), codec)
    page = docs_page(openapi_document(bindings, codec, ApiInfo(title="<script>alert(1)</script>"), None)).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_send_tells_of_the_idempotency_key() -> None:
    codec = Codec(short_enums=True)
    service = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
    _, bindings = bind_all(methods_of(service), codec)
    document = openapi_document(bindings, codec, INFO, schema_comments(), ClarionAnnotations())
    send = document["paths"]["/v1/notifications"]["post"]
    assert [item["name"] for item in send["parameters"]] == ["Idempotency-Key"]
    assert send["responses"]["202"]
    assert "The person." in str(document["components"]["schemas"]["SendNotificationRequest"]["properties"]["user_id"])


@pytest.mark.parametrize("path", ["/v1/notifications:batch", "/v1/users:batch"])
def test_limits_inside_elements_that_are_answered_one_by_one_make_no_request_wrong(path: str) -> None:
    """However deep inside: an element that breaks one is answered with its error beside the others."""
    document = json.loads(lint_openapi.document())
    schemas = document["components"]["schemas"]
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    [elements] = [one for one in schemas[body["$ref"].rpartition("/")[2]]["properties"].values() if one.get("type") == "array"]
    todo, seen, limits = [elements["items"]], set[str](), set[str]()
    while todo:
        part = todo.pop()
        reference = part.get("$ref", "").rpartition("/")[2] if isinstance(part, dict) else ""
        if reference and reference not in seen:
            seen.add(reference)
            todo.append(schemas[reference])
        if isinstance(part, dict):
            limits |= part.keys() & {
                "required",
                "minLength",
                "maxLength",
                "pattern",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties",
            }
        todo += [inner for inner in (part.values() if isinstance(part, dict) else part) if isinstance(inner, dict | list)]
    assert not limits
    assert len(seen) > 1


def test_every_field_of_the_public_api_has_words() -> None:
    comments = read_comments(schema_comments())
    service = notification_service_pb2.DESCRIPTOR.services_by_name["NotificationService"]
    for method in service.methods:
        assert comments[method.full_name]
        for field in [*method.input_type.fields, *method.output_type.fields]:
            assert comments[field.full_name]


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.data())
def test_a_range_of_whole_numbers_is_a_pattern_of_their_texts(least: int, width: int, data: st.DataObject) -> None:
    pattern = re.compile(integer_pattern(least, least + width))
    number = data.draw(
        st.integers(least - 100, least + width + 100) | st.sampled_from([least - 1, least, least + width, least + width + 1])
    )
    assert bool(pattern.search(str(number))) == (least <= number <= least + width)
    assert not pattern.search(f"0{abs(number)}")


@pytest.mark.parametrize("method", ["post", "patch", "put"])
def test_the_document_is_closed_to_what_the_edge_refuses(document: Any, method: str) -> None:
    bodies = [
        next(iter(operation["requestBody"]["content"].values()))["schema"]
        for item in document["paths"].values()
        for kind, operation in item.items()
        if kind == method and "requestBody" in operation
    ]
    for body in bodies:
        name = body.get("$ref", "").rpartition("/")[2]
        closed = document["components"]["schemas"][name] if name else body
        assert closed.get("additionalProperties") is False or closed.get("type") != "object"


def test_every_operation_tells_of_errors_in_both_forms(document: Any) -> None:
    error = document["components"]["responses"]["Error"]["content"]
    problem = error["application/problem+json"]["schema"]
    assert {"violated_policies", "metadata", "violations", "retry_after_s"} <= set(problem["properties"])
    for item in document["paths"].values():
        for operation in item.values():
            assert {"4XX", "default"} <= set(operation["responses"])
