"""Has mails about accounts sent as soon as they are asked for."""

from collections.abc import Callable

from google.protobuf.message import Message

from clarion.user.v1 import account_service_pb2, auth_service_pb2, user_service_pb2
from mesh.rpc.dispatcher import Unary
from mesh.rpc.methods import Method

_ASK_FOR_MAILS = frozenset(
    f"/{file.DESCRIPTOR.services_by_name[service].full_name}/{method}"
    for file, service, method in (
        (account_service_pb2, "AccountService", "RequestPasswordReset"),
        (account_service_pb2, "AccountService", "RequestAddressVerification"),
        (auth_service_pb2, "AuthService", "ChangeEmail"),
        (user_service_pb2, "UserService", "CreateAddress"),
    )
)


def followed_by(wake: Callable[[], None]) -> Callable[[Method, Unary], Unary]:
    """Wraps the handlers that ask for mails, so that these are sent at once."""

    def wrap(method: Method, handler: Unary) -> Unary:
        if method.full_name not in _ASK_FOR_MAILS:
            return handler

        async def serve(request: Message) -> Message:
            reply = await handler(request)
            wake()
            return reply

        return serve

    return wrap
