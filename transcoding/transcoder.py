"""HTTP requests to RPCs and their answers back, by google.api.http: path, body and query to the request, the response to JSON.

One `Binding` per HTTP rule, compiled at start-up from descriptors alone; what is wrong with a rule is reported there (`BindingError`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mesh.errors import InvalidArgument
from transcoding.annotations import is_output_only
from transcoding.codec import Codec
from transcoding.errors import MalformedUrl, bad_body, violations_error
from transcoding.http_rule import Router, Template, parse_template
from transcoding.json_scalar import BadValue
from transcoding.json_text import JsonError, read_json
from transcoding.json_wellknown import FIELD_MASK, has_own_json
from transcoding.query import QueryBinder, descend, find_field, leaf_of
from transcoding.rpc import RpcMethod

WHOLE = "*"  # `body: "*"`: every field that the path does not bind
_MASK = "update_mask"
STATUS = "google.rpc.Status"
_ETAG = "etag"  # says which state a change is meant for (AIP-154), and is none of it
_MOST_PARAMETERS = 200


class BindingError(ValueError):
    """An HTTP rule does not fit its method."""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One HTTP binding of a method, as the schema says it."""

    http_method: str
    path: str
    body: str
    response_body: str


def http_rules(method: RpcMethod) -> Iterator[HttpRule]:
    """The method's bindings, the main one first; none for a method without HTTP."""
    options = method.descriptor.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    yield _rule(method, rule)
    for more in rule.additional_bindings:
        if more.additional_bindings:
            raise BindingError(f"{method.full_name}: additional_bindings must not nest")
        yield _rule(method, more)


def _rule(method: RpcMethod, rule: http_pb2.HttpRule) -> HttpRule:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        raise BindingError(f"{method.full_name}: an HTTP rule has no pattern")
    http_method, path = (rule.custom.kind.upper(), rule.custom.path) if pattern == "custom" else (pattern.upper(), getattr(rule, pattern))
    return HttpRule(http_method, path, rule.body, rule.response_body)


class Binding:
    """One HTTP rule, compiled. Raises BindingError or TemplateError when it does not fit the method."""

    def __init__(self, method: RpcMethod, rule: HttpRule, codec: Codec) -> None:
        self.method = method
        self.rule = rule
        self.template: Template = parse_template(rule.path)
        self.request_descriptor: Descriptor = method.descriptor.input_type
        self._codec = codec
        self._variables = {path: self._variable(path) for path in (variable.field_path for variable in self.template.variables)}
        self._body_field = self._top_level(self.request_descriptor, rule.body) if rule.body not in {"", WHOLE} else None
        self.query = QueryBinder(
            self.request_descriptor,
            codec,
            taken={*self._variables, *([self._body_field.name] if self._body_field is not None else [])},
            closed=rule.body == WHOLE,
        )
        self._makes_mask = self._wants_mask()
        self._response_field = self._top_level(method.descriptor.output_type, rule.response_body) if rule.response_body else None
        self.answered = self._answered_only()
        self.element_type = self._element_type()

    @property
    def takes_body(self) -> bool:
        """Whether the rule binds a body at all."""
        return bool(self.rule.body)

    @property
    def body_field(self) -> FieldDescriptor | None:
        """The one field that the body is, None where the body is the whole request or nothing."""
        return self._body_field

    @property
    def body_name(self) -> str:
        """The name of that field, empty where there is none."""
        return self._body_field.name if self._body_field is not None else ""

    @property
    def response_field(self) -> FieldDescriptor | None:
        """The one field that the answer is, None where it is the whole response."""
        return self._response_field

    def field_at(self, path: str) -> FieldDescriptor | None:
        """The request's field at a dotted path."""
        return find_field(self.request_descriptor, path)

    def request(self, values: Mapping[str, str], query: str, body: bytes) -> Message:
        """The RPC's request for the path's values, the raw query and the body. Raises InvalidArgument."""
        message = self.method.request_type()
        content = self._read_body(message, body)
        problems: list[tuple[str, str]] = []
        for path, text in values.items():
            problems += self._bind_variable(message, path, text)
        if query:
            problems += self.query.bind(message, _parameters(query))
        if problems:
            raise violations_error(problems)
        if self._makes_mask and not message.HasField(_MASK) and isinstance(content, dict):
            getattr(message, _MASK).paths.extend(self._mask(content))
        return message

    def response(self, message: Message) -> bytes:
        """The JSON of the RPC's response, or of its one field that the rule names. Raises ValueError when JSON can't carry it."""
        if self._response_field is None:
            return self._codec.print(message)
        return self._codec.print_field(message, self._response_field)

    def responses(self, message: Message) -> list[bytes]:
        """The JSON texts of one message of a stream: one per element where the rule's `response_body` is a list. Raises ValueError."""
        field = self._response_field
        if field is None or not field.is_repeated or field.message_type is None:
            return [self.response(message)]
        return [self._codec.print(element) for element in getattr(message, field.name)]

    def elements(self, response: Message) -> Any:
        """The list in a response that the rule's `response_body` names."""
        assert self._response_field is not None
        return getattr(response, self._response_field.name)

    def refusal(self, status: Message) -> Message:
        """A response that answers one element of a stream with an error."""
        response: Message = GetMessageClass(self.method.descriptor.output_type)()
        self.elements(response).add().error.CopyFrom(status)
        return response

    def element(self, line: bytes) -> Message:
        """An element of the list that the body of a stream is. Raises InvalidArgument."""
        assert self.element_type is not None
        element = self.element_type()
        try:
            self._codec.fill(element, read_json(line))
        except (JsonError, BadValue) as error:
            raise bad_body(error) from None
        return element

    def _element_type(self) -> type[Message] | None:
        """What each line of the body is, where the method takes a stream."""
        if not self.method.client_streaming:
            return None
        field = self._body_field
        if field is None or not field.is_repeated or field.message_type is None:
            raise BindingError(f"{self.method.full_name} takes a stream: its body must be a list of messages, each of which is a line")
        answer = self._response_field.message_type if self._response_field is not None and self._response_field.is_repeated else None
        error = answer.fields_by_name.get("error") if answer is not None else None
        if error is None or error.message_type is None or error.message_type.full_name != STATUS:
            raise BindingError(f"{self.method.full_name} takes a stream: its response_body must be a list of messages with an `error`")
        return GetMessageClass(field.message_type)

    def _read_body(self, message: Message, body: bytes) -> Any:
        if not body:
            return None
        if not self.takes_body:
            raise InvalidArgument("this request takes no body", reason="UNEXPECTED_BODY")
        try:
            content = read_json(body)
            if self._body_field is None:
                self._codec.fill(message, self._without_answered(content))
            else:
                self._codec.fill(message, {self._body_field.name: content})
        except (JsonError, BadValue) as error:
            raise bad_body(error) from None
        return content

    def _without_answered(self, content: Any) -> Any:
        """The body without what only the server sets in the resource that the method answers: a caller may send back what it has read."""
        if type(content) is not dict or content.keys().isdisjoint(self.answered):
            return content
        return {key: value for key, value in content.items() if key not in self.answered}

    def _variable(self, path: str) -> Callable[[Any, str], None]:
        field = find_field(self.request_descriptor, path)
        if field is None or field.is_repeated or field.message_type is not None:
            raise BindingError(f"{self.method.full_name}: {{{path}}} in {self.rule.path} must be a singular scalar field of the request")
        put = self._codec.text_setter(field)
        assert put is not None
        return put

    def _bind_variable(self, message: Message, path: str, text: str) -> list[tuple[str, str]]:
        holder, name = descend(message, path), leaf_of(path)
        before = getattr(holder, name)
        try:
            self._variables[path](holder, text)
        except BadValue as bad:
            return bad.under(path)
        if before and before != getattr(holder, name):
            return [(path, "must be the same as in the path")]
        return []

    def _mask(self, content: Mapping[str, Any]) -> Iterator[str]:
        """The fields that a body names, but for those that the path has decided."""
        field = self._body_field
        assert field is not None
        assert field.message_type is not None
        paths = mask_paths(field.message_type, content)
        return (path for path in paths if path != _ETAG and f"{field.name}.{path}" not in self._variables)

    def _answered_only(self) -> frozenset[str]:
        """Names, in both spellings, that the answered resource has as output-only and the request lacks."""
        kind = self._response_field.message_type if self._response_field is not None else None
        if kind is None or self.rule.body != WHOLE:
            return frozenset()
        names = {name for field in kind.fields if is_output_only(field) for name in (field.name, field.json_name)}
        return frozenset(names.difference(*({field.name, field.json_name} for field in self.request_descriptor.fields)))

    def _top_level(self, descriptor: Descriptor, name: str) -> FieldDescriptor:
        field = descriptor.fields_by_name.get(name)
        if field is None:
            raise BindingError(f"{self.method.full_name}: {name!r} in the rule of {self.rule.path} must be a top-level field")
        return field

    def _wants_mask(self) -> bool:
        """PATCH with a resource as its body: without a mask, the fields that the body names are the ones to change (AIP-134)."""
        mask = self.request_descriptor.fields_by_name.get(_MASK)
        return (
            self.rule.http_method == "PATCH"
            and self._body_field is not None
            and self._body_field.message_type is not None
            and not self._body_field.is_repeated
            and mask is not None
            and mask.message_type is not None
            and mask.message_type.full_name == FIELD_MASK
        )


def mask_paths(descriptor: Descriptor, content: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the writable fields that a JSON object names, in the proto's spelling; objects of known shape are gone into."""
    names = {field.json_name: field for field in descriptor.fields} | {field.name: field for field in descriptor.fields}
    for key, value in content.items():
        field = names[key]
        inner = field.message_type
        if is_output_only(field):
            continue
        if isinstance(value, dict) and value and inner is not None and not field.is_repeated and not has_own_json(inner):
            yield from (f"{field.name}.{path}" for path in mask_paths(inner, value))
        else:
            yield field.name


def bind_all(methods: Mapping[str, RpcMethod], codec: Codec) -> tuple[Router[Binding], list[Binding]]:
    """Every binding of the methods, routed. Raises BindingError, TemplateError or RouteConflict, naming what is wrong."""
    router: Router[Binding] = Router()
    bindings: list[Binding] = []
    for method in methods.values():
        for rule in http_rules(method):
            binding = Binding(method, rule, codec)
            router.add(rule.http_method, binding.template, binding)
            bindings.append(binding)
    return router, bindings


def _parameters(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise MalformedUrl("the query does not decode to UTF-8") from None
    except ValueError:
        raise MalformedUrl(f"the query has more than {_MOST_PARAMETERS} parameters") from None
