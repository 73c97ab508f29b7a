"""The page at /docs: the OpenAPI document for people, in one HTML file without scripts."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: light-dark(#5c5c5c, #a8a8a8); }
html { background: light-dark(#fff, #16181b); color: light-dark(#1c1e21, #e6e6e6); }
a { color: light-dark(#0b57d0, #8ab4f8); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; overflow-wrap: anywhere; padding: 1.5rem; }
code { font: 13px/1.4 ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .4rem .7rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4rem; }
table { border-collapse: collapse; margin: .4rem 0 .8rem; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .25rem .5rem .25rem 0; text-align: left; vertical-align: top; }
@media (min-width: 40rem) { td:first-child { white-space: nowrap; } }
.soft { color: var(--soft); }
"""
_CODE = re.compile(r"`([^`]+)`")
_REF = "#/components/schemas/"


def docs_page(document: Mapping[str, Any]) -> bytes:
    """The page. Whatever comes from the document is escaped."""
    schemas = document["components"]["schemas"]
    return "".join(_page(document, schemas)).encode()


def _page(document: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    yield f"<main><h1>{escape(info['title'])} API</h1>{_prose(info['description'])}"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(method, path, operation)
    yield "<h2>Types</h2>"
    for name, schema in schemas.items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield _prose(schema.get("description", ""))
        yield _fields(schema)
        yield "</details>"
    yield "</main></html>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
    yield f'<span class="soft">{escape(operation["summary"])}</span></summary>'
    yield _prose(operation.get("description", ""))
    if "x-scope" in operation:
        yield f"<p>Scope: <code>{escape(operation['x-scope'])}</code></p>"
    elif operation.get("security") == []:
        yield "<p>Open: needs no credentials.</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        rows = (
            _row(item["name"], item["in"] + (", required" if item.get("required") else ""), item["schema"], item.get("description", ""))
            for item in parameters
        )
        yield f"<table><tr><th>Parameter<th>In<th>Type<th>Meaning{''.join(rows)}</table>"
    if "requestBody" in operation:
        yield _content("Body", operation["requestBody"]["content"])
    for status, response in operation["responses"].items():
        if "content" in response:
            yield _content(f"Answer {status}", response["content"])
    yield "</details>"


def _content(title: str, content: Mapping[str, Any]) -> str:
    parts = [f"<p><b>{escape(title)}</b> "]
    for media_type, entry in content.items():
        parts.append(f"<code>{escape(media_type)}</code>: {_type(entry['schema'])} ")
    inline = next(iter(content.values()))["schema"]
    return "".join(parts) + "</p>" + (_fields(inline) if "properties" in inline else "")


def _fields(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    if not properties:
        return ""
    required = schema.get("required", [])
    rows = (_row(name, "required" if name in required else "", field, field.get("description", "")) for name, field in properties.items())
    return f"<table><tr><th>Field<th>Needed<th>Type<th>Meaning{''.join(rows)}</table>"


def _row(name: str, note: str, schema: Mapping[str, Any], description: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{escape(note)}<td>{_type(schema)}<td>{_inline(description)}"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(_REF))
        return f'<a href="#{name}">{name}</a>'
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    words = [schema.get("format", kind)]
    words += [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to")) if key in schema]
    return escape(" ".join(str(word) for word in words))


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part)


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text)).replace("\n", "<br>")
