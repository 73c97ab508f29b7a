"""The policy of each RPC, read from its descriptor. A method without one is an error at start-up, not a hole."""

from dataclasses import dataclass
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from clarion.options.v1 import options_pb2

Access = options_pb2.Access


class PolicyMissing(Exception):
    """A method declares no access, or no callers, scope or deadline where it needs one; or takes a stream and answers with none."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC. `full_name` is gRPC's path, such as `/clarion.user.v1.UserService/GetUser`; `deadline_s` 0 means none (streams)."""

    full_name: str
    service: str
    name: str
    request_type: type[Message]
    response_type: type[Message]
    client_streaming: bool
    server_streaming: bool
    access: "options_pb2.Access.ValueType"
    scope: str
    owner: bool
    callers: frozenset[str]
    installation: bool
    deadline_s: float
    success_status: int
    idempotent: bool
    descriptor: MethodDescriptor


def method_of(descriptor: MethodDescriptor) -> Method:
    """The method's policy. Raises PolicyMissing."""
    options = descriptor.GetOptions()
    policy = options.Extensions[options_pb2.policy]
    service = descriptor.containing_service
    full_name = f"/{service.full_name}/{descriptor.name}"
    if policy.access == options_pb2.ACCESS_UNSPECIFIED:
        raise PolicyMissing(f"{full_name} declares no access")
    if policy.access == options_pb2.ACCESS_SCOPE and not policy.scope:
        raise PolicyMissing(f"{full_name} declares no scope")
    if policy.access == options_pb2.ACCESS_INTERNAL and not policy.callers:
        raise PolicyMissing(f"{full_name} declares no callers")
    if not descriptor.server_streaming and policy.default_deadline_ms <= 0:
        raise PolicyMissing(f"{full_name} declares no deadline")
    if descriptor.client_streaming and not descriptor.server_streaming:
        raise PolicyMissing(f"{full_name} takes a stream, and so must answer with one")
    return Method(
        full_name=full_name,
        service=service.full_name,
        name=descriptor.name,
        request_type=GetMessageClass(descriptor.input_type),
        response_type=GetMessageClass(descriptor.output_type),
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        access=policy.access,
        scope=policy.scope,
        owner=policy.owner,
        callers=frozenset(policy.callers),
        installation=policy.installation,
        deadline_s=policy.default_deadline_ms / 1000,
        success_status=policy.success_status or 200,
        idempotent=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
        descriptor=descriptor,
    )


def methods_of(service: ServiceDescriptor) -> dict[str, Method]:
    """The service's methods by full name. Raises PolicyMissing."""
    methods = [method_of(descriptor) for descriptor in service.methods]
    return {method.full_name: method for method in methods}


@cache
def find(full_name: str) -> Method:
    """The method with gRPC's path. Raises KeyError when no generated module that is loaded has it."""
    service, _, name = full_name.removeprefix("/").partition("/")
    return method_of(descriptor_pool.Default().FindServiceByName(service).methods_by_name[name])
