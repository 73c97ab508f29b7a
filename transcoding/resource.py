"""What HTTP says of a resource beside its JSON: entity tags with their preconditions (RFC 9110, section 13), and its own address.

A resource whose message has a text field `etag` (AIP-154) is tagged by it, and a change can be bound to it; other reads are tagged by their
bytes.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from transcoding.errors import InvalidHeader
from transcoding.http_rule import Template
from transcoding.json_wellknown import has_own_json
from transcoding.transcoder import Binding

ETAG = "etag"
_NEVER = "-"  # no service makes such a tag
_TAG = re.compile(r'(W/)?"([!#-~]*)"')
_BARE_TAG = re.compile(r"[!#-+\--~]+")  # its quotes forgotten; one thing only can be meant
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")  # RFC 3986, section 2.3; ids and most names: to match them costs a tenth of quoting
_CREATED = frozenset({201, 202})


def tag_of_bytes(body: bytes) -> str:
    """A tag of a representation, without its quotes."""
    return urlsafe_b64encode(hashlib.sha256(body).digest()[:12]).decode()


def is_known(if_none_match: str, tag: str) -> bool:
    """Whether the caller has the representation already, by weak comparison."""
    return if_none_match.strip() == "*" or any(found[2] == tag for found in _TAG.finditer(if_none_match))


class ResourceRules:
    """The entity tags and the addresses of the resources of one API. `bindings` are all of them."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._bindings = list(bindings)
        self._tagged = {id(binding) for binding in self._bindings if _is_text(_resource_fields(binding).get(ETAG))}
        self._locations = {id(binding): _Path.of(self._location_template(binding)) for binding in self._bindings}

    def is_tagged(self, binding: Binding) -> bool:
        """Whether the answered resource carries its tag."""
        return id(binding) in self._tagged

    def is_addressed(self, binding: Binding) -> bool:
        """Whether the API has an address for what the request makes."""
        return self._locations[id(binding)] is not None

    def own_tag(self, binding: Binding, reply: Message) -> str:
        """The tag that the answered resource carries; empty when it has none."""
        return str(getattr(_resource(binding, reply), ETAG)) if self.is_tagged(binding) else ""

    @staticmethod
    def takes_tag(binding: Binding) -> bool:
        """Whether the request can be bound to a state of its resource."""
        return _is_text(binding.request_descriptor.fields_by_name.get(ETAG)) or _is_text(_body_fields(binding).get(ETAG))

    def bind_tag(self, binding: Binding, request: Any, if_match: str) -> None:
        """Binds the request to the state that `If-Match` names; the service compares. Raises InvalidHeader where no request can be bound.

        Several tags are refused: the service compares one. A weak tag, or another than the `etag` in the body, is bound to a state that
        never is (RFC 9110, section 13.1.1 compares strongly): the answer is 412, unless there is no such resource or the caller may not
        change it.
        """
        if not self.takes_tag(binding):
            raise InvalidHeader.of("If-Match", "is not taken by this request; GET /openapi.json lists the headers of each")
        holder = request if _is_text(binding.request_descriptor.fields_by_name.get(ETAG)) else getattr(request, binding.body_name)
        given = getattr(holder, ETAG)
        if if_match == "*":  # any state: that there is one at all, the call finds out by itself
            return
        found = _TAG.fullmatch(f'"{if_match}"' if _BARE_TAG.fullmatch(if_match) else if_match)
        if found is None:
            raise InvalidHeader.of("If-Match", "must be one entity tag, as the ETag header has it, or *")
        tag = _NEVER if found[1] or not found[2] else found[2]
        setattr(holder, ETAG, tag if given in {"", tag} else _NEVER)

    def location(self, binding: Binding, values: Mapping[str, str], reply: Message) -> str | None:
        """The path of what a POST has made; None when the API has no address for it."""
        path = self._locations[id(binding)]
        if path is None:
            return None
        resource = _resource(binding, reply)
        return path.filled(values, resource) if resource is not None else None

    def _location_template(self, binding: Binding) -> Template | None:
        """The path of a sibling binding that has one variable more: reading it if the API can, else removing or changing it."""
        if binding.rule.http_method != "POST" or binding.method.success_status not in _CREATED or binding.template.verb:
            return None
        names = _resource_fields(binding)
        collections = [other.template for other in self._bindings if other.method.full_name == binding.method.full_name]
        siblings: dict[str, Template] = {}
        for other in self._bindings:
            template = other.template
            if template.verb is None and _last_name(template) in names and any(_extends(template, at) for at in collections):
                siblings.setdefault(other.rule.http_method, template)
        return next((siblings[http_method] for http_method in ("GET", "DELETE", "PATCH", "PUT") if http_method in siblings), None)


def _extends(template: Template, collection: Template) -> bool:
    before = collection.segments
    return len(template.segments) == len(before) + 1 and template.segments[:-1] == before and template.segments[-1] == ("*", False)


def _last_name(template: Template) -> str:
    last = template.variables[-1] if template.variables else None
    return last.field_path if last is not None and last.single and last.end == len(template.segments) else ""


class _Path:
    """A template that ends in a name of the resource. `parts` are texts, each followed by the name of the value behind it."""

    def __init__(self, parts: Sequence[tuple[str, str]], last: tuple[str, str]) -> None:
        self._parts = parts
        self._last_text, self._last_name = last

    @classmethod
    def of(cls, template: Template | None) -> "_Path | None":
        if template is None:
            return None
        by_segment = {variable.start: variable.field_path for variable in template.variables if variable.single}
        text, parts = "", list[tuple[str, str]]()
        for index, (segment, literal) in enumerate(template.segments):
            if literal:
                text += f"/{_quoted(segment)}"
            else:
                parts.append((f"{text}/", by_segment.get(index, "")))
                text = ""
        return cls(parts[:-1], parts[-1])

    def filled(self, values: Mapping[str, str], resource: Message) -> str | None:
        """None where a name is empty: such a path would lead elsewhere."""
        path = ""
        for text, name in self._parts:
            value = values.get(name, "")
            if not value:
                return None
            path += text + _quoted(value)
        last = str(getattr(resource, self._last_name))
        return f"{path}{self._last_text}{_quoted(last)}" if last else None


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def _resource(binding: Binding, reply: Message) -> Message | None:
    """The message that the answer is about: the answered field, the response itself, or the one message in it."""
    if binding.response_field is not None:
        inner = binding.response_field
        return getattr(reply, inner.name) if inner.message_type is not None and not inner.is_repeated else None
    inner_fields = _inner_messages(binding.method.descriptor.output_type)
    return getattr(reply, inner_fields[0].name) if len(inner_fields) == 1 else reply


def _resource_fields(binding: Binding) -> Mapping[str, FieldDescriptor]:
    if binding.response_field is not None:
        kind = binding.response_field.message_type
        return kind.fields_by_name if kind is not None else {}
    output: Descriptor = binding.method.descriptor.output_type
    inner = _inner_messages(output)
    kind = inner[0].message_type if len(inner) == 1 else output
    return kind.fields_by_name if kind is not None else {}


@cache
def _inner_messages(descriptor: Descriptor) -> list[FieldDescriptor]:
    kinds = ((field, field.message_type) for field in descriptor.fields if not field.is_repeated)
    return [field for field, kind in kinds if kind is not None and not has_own_json(kind)]


def _body_fields(binding: Binding) -> Mapping[str, FieldDescriptor]:
    kind = binding.body_field.message_type if binding.body_field is not None else None
    return kind.fields_by_name if kind is not None else {}


def _is_text(field: FieldDescriptor | None) -> bool:
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
