"""Which methods honour an idempotency key, and how: a wrapper around the handlers of the dispatcher."""

from collections.abc import Callable
from uuid import UUID

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from clarion.options.v1 import options_pb2
from mesh.context import current
from mesh.idempotency.errors import KeyNotTaken
from mesh.idempotency.use_cases import RepeatableCalls
from mesh.ids import parse
from mesh.rpc.dispatcher import Unary
from mesh.rpc.methods import Method

KEY = "idempotency-key"
_REQUEST_ID = "request_id"


def honours_key(method: MethodDescriptor) -> bool:
    """Whether a repeated call with the same key has no second effect: by this module, or by the method itself; never of a stream."""
    return not method.client_streaming and (has_own_keys(method) or _is_remembered(method))


def has_own_keys(method: MethodDescriptor) -> bool:
    """Whether the method keeps keys itself: its request, or each element of it, can carry one (AIP-155)."""
    kinds = [method.input_type, *(field.message_type for field in method.input_type.fields if field.is_repeated)]
    return any(kind is not None and _REQUEST_ID in kind.fields_by_name for kind in kinds)


def _is_remembered(method: MethodDescriptor) -> bool:
    options = method.GetOptions()
    access = options.Extensions[options_pb2.policy].access
    return bool(access == options_pb2.ACCESS_SCOPE and options.idempotency_level != MethodOptions.NO_SIDE_EFFECTS)


def repeatable(calls: RepeatableCalls) -> Callable[[Method, Unary], Unary]:
    """Wraps the handler of a method. Keys are honoured or refused where there is an effect, and mean nothing to reads or in the mesh."""

    def wrap(method: Method, handler: Unary) -> Unary:
        if method.descriptor.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS or has_own_keys(method.descriptor):
            return handler
        if method.access == options_pb2.ACCESS_INTERNAL:
            return handler
        if not _is_remembered(method.descriptor):
            return _refusing(handler)

        async def serve(request: Message) -> Message:
            key = current().metadata.get(KEY)
            if key is None:
                return await handler(request)

            async def carry() -> bytes:
                return (await handler(request)).SerializeToString()

            asked = request.SerializeToString(deterministic=True)
            answer = await calls.once(
                key,
                method.full_name,
                asked,
                carry,
                deadline_s=method.deadline_s,
                about=lambda answer: _subject(request) or _subject(method.response_type.FromString(answer)),
            )
            return method.response_type.FromString(answer)

        return serve

    return wrap


def _refusing(handler: Unary) -> Unary:
    async def serve(request: Message) -> Message:
        if KEY in current().metadata:
            raise KeyNotTaken
        return await handler(request)

    return serve


def _subject(message: Message) -> UUID | None:
    """The person whom a request or a response is about: its `user_id`, or the id of its `user`."""
    fields = message.DESCRIPTOR.fields_by_name
    if "user_id" in fields:
        return parse(getattr(message, "user_id"))  # noqa: B009  the field is known by the descriptor only
    if "user" in fields and message.HasField("user"):
        return parse(getattr(message, "user").id)  # noqa: B009  same
    return None
