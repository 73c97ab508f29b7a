"""Authentication and authorization from the schema: who may call what is declared on the method, and missing means no."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import Enum
from functools import partial

from clarion.options.v1 import options_pb2
from mesh import context
from mesh.context import FIRST_PROJECT, Caller, CallerKind
from mesh.errors import PermissionDenied, ScopeMissing, Unauthenticated, Unavailable
from mesh.rpc.calls import ClientCall, ServerCall
from mesh.rpc.identity import SERVICE_TOKEN_INVALID, Authenticator, ServiceIdentity
from mesh.rpc.methods import Method

AUTHORIZATION = "authorization"
# the token of the service that hands a call on in the name of its original caller
ON_BEHALF = "x-clarion-service-authorization"


class Door(Enum):
    """Whose calls a port takes."""

    # the edge: people and programs; a service has no business there, and its token is refused
    PUBLIC = "public"
    # what only services reach: calls in their own name, and calls of others that the gateway hands on
    INTERNAL = "internal"
    # both, where an operator wants an internal port reached directly
    DIRECT = "direct"


_NOT_TRUSTED = "a part of the system does not accept the credential of another one: their clocks, secrets or versions differ"
_BETWEEN_SERVICES = frozenset({SERVICE_TOKEN_INVALID, "CALLER_NOT_ALLOWED", "INTERNAL_PORT", "INTERNAL_ONLY"})
_RETRY_AFTER_S = 5.0

log = logging.getLogger(__name__)


class AuthInterceptor:
    """Proves the caller and checks the method's policy."""

    def __init__(self, authenticator: Authenticator, door: Door) -> None:
        self._authenticator = authenticator
        self._door = door

    @asynccontextmanager
    async def around(self, call: ServerCall) -> AsyncIterator[None]:
        """Raises Unauthenticated or PermissionDenied."""
        authorization = call.metadata.get(AUTHORIZATION)
        if self._door is Door.INTERNAL:
            await self._check_service(call.metadata.get(ON_BEHALF) or authorization)
        if call.method.access != options_pb2.ACCESS_OPEN:
            if not authorization:
                raise Unauthenticated(
                    "this call needs an access token or an API key: `Authorization: Bearer <token or key>`", reason="CREDENTIALS_MISSING"
                )
            # nothing in it leads back to the call: what holds itself is held, with its request, until the collector runs, which is seldom
            prove = partial(self._prove, call.method, authorization)
            caller, call.prove_again = await prove(), prove
            call.context = replace(call.context, caller=caller)
            context.enter(call.context)
        yield

    async def _prove(self, method: Method, credential: str) -> Caller:
        proven = await self._authenticator.authenticate(credential)
        if self._door is Door.PUBLIC and proven.kind is CallerKind.SERVICE:
            raise Unauthenticated("the tokens of services are not accepted here", reason="CREDENTIALS_INVALID")
        authorize(method, proven)
        return proven

    async def _check_service(self, authorization: str | None) -> None:
        caller = await self._authenticator.authenticate(authorization) if authorization else None
        if caller is None or caller.kind is not CallerKind.SERVICE:
            raise PermissionDenied("this port serves the services of the mesh only; call the gateway", reason="INTERNAL_PORT")


def authorize(method: Method, caller: Caller) -> None:
    """Raises PermissionDenied unless the method's policy lets the caller in."""
    if method.access == options_pb2.ACCESS_OPEN:
        return
    if caller.kind is CallerKind.SERVICE:
        if caller.id in method.callers:
            return
        raise PermissionDenied(f"the service {caller.id} is not among the callers of this method", reason="CALLER_NOT_ALLOWED")
    if method.installation and caller.project != FIRST_PROJECT:
        raise PermissionDenied(
            f"this call reaches what all projects share; it takes a credential of the project {FIRST_PROJECT}", reason="INSTALLATION_ONLY"
        )
    if method.access == options_pb2.ACCESS_PROVEN:
        return
    if method.access == options_pb2.ACCESS_SCOPE:
        if caller.has(method.scope) or (method.owner and caller.user_id is not None):
            return
        raise ScopeMissing(method.scope)
    raise PermissionDenied("this call is for other services of the mesh only", reason="INTERNAL_ONLY")


class IdentityInterceptor:
    """Says to the callee which service calls, in its own name or in that of an original caller, and which request it belongs to."""

    def __init__(self, identity: ServiceIdentity, callee: str) -> None:
        self._identity = identity
        self._callee = callee

    @asynccontextmanager
    async def around(self, call: ClientCall) -> AsyncIterator[None]:
        """Fills in `authorization` or `x-clarion-service-authorization`, and `x-correlation-id`.

        Raises Unavailable where the callee does not accept this service.
        """
        place = ON_BEHALF if AUTHORIZATION in call.metadata else AUTHORIZATION
        call.metadata[place] = f"Bearer {self._identity.token(self._callee)}"
        served = context.current_or_none()
        if served is not None:
            call.metadata.setdefault("x-correlation-id", served.correlation_id)
        try:
            yield
        except (Unauthenticated, PermissionDenied) as error:
            if error.reason not in _BETWEEN_SERVICES:
                raise
            # the outside caller can do nothing about it, and did nothing wrong
            log.warning("another service refuses this one", extra={"method": call.method.full_name, "reason": error.reason})
            raise Unavailable(_NOT_TRUSTED, reason="SERVICE_NOT_TRUSTED", retry_after_s=_RETRY_AFTER_S) from None
