"""Authentication and authorization from the schema: who may call what is declared on the method, and missing means no."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from clarion.options.v1 import options_pb2
from mesh import context
from mesh.context import Caller, CallerKind
from mesh.errors import PermissionDenied, Unauthenticated
from mesh.rpc.calls import ClientCall, ServerCall
from mesh.rpc.identity import Authenticator, ServiceIdentity
from mesh.rpc.methods import Method

AUTHORIZATION = "authorization"


class AuthInterceptor:
    """Proves the caller and checks the method's policy."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises Unauthenticated or PermissionDenied."""
        authorization = call.metadata.get(AUTHORIZATION)
        if call.method.access != options_pb2.ACCESS_OPEN:
            if not authorization:
                raise Unauthenticated("this call needs an access token or an API key", reason="CREDENTIALS_MISSING")

            async def prove(credential: str = authorization) -> Caller:
                proven = await self._authenticator.authenticate(credential)
                authorize(call.method, proven)
                return proven

            caller, call.prove_again = await prove(), prove
            call.context = replace(call.context, caller=caller)
            context.enter(call.context)
        yield


def authorize(method: Method, caller: Caller) -> None:
    """Raises PermissionDenied unless the method's policy lets the caller in."""
    if method.access == options_pb2.ACCESS_OPEN or caller.kind is CallerKind.SERVICE:
        return
    if method.access == options_pb2.ACCESS_SCOPE:
        if caller.has(method.scope) or (method.owner and caller.user_id is not None):
            return
        raise PermissionDenied(f"this call needs the scope {method.scope}", reason="SCOPE_MISSING", metadata={"scope": method.scope})
    raise PermissionDenied("this call is for other services of the mesh only", reason="INTERNAL_ONLY")


class IdentityInterceptor:
    """Tells the callee who we are, unless the call is made in the name of its original caller, and which request it belongs to."""

    def __init__(self, identity: ServiceIdentity) -> None:
        self._identity = identity

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """Fills in `authorization` and `x-correlation-id`."""
        if AUTHORIZATION not in call.metadata:
            call.metadata[AUTHORIZATION] = f"Bearer {self._identity.token()}"
        served = context.current_or_none()
        if served is not None:
            call.metadata.setdefault("x-correlation-id", served.correlation_id)
        yield
