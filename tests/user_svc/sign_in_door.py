"""user_svc with issuers of OpenID Connect, as the gateway calls it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio

from clarion.user.v1 import session_pb2
from clarion.user.v1 import sign_in_service_pb2 as rpc
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.sign_in_service_pb2_grpc import SignInServiceStub
from mesh.rpc.channel import to_service_error
from tests.user_svc.issuer import CLIENT, SECRET, Issuer

OpenDoor = Callable[..., Any]
GROUPS = """
root = "administrator"
staff = ["notifications:read", "apikeys:write"]
readers = ["templates:read"]
"""


def described(issuer: Issuer, *, identifier: str = "corp", more: str = "", groups: str = GROUPS) -> str:
    """An issuer as the operator's file has it."""
    return f"""
[[issuers]]
id = "{identifier}"
title = "Example Corp"
url = "{issuer.url}"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
{more}
[issuers.groups]
{groups}
"""


@dataclass
class Door:
    """user_svc as the gateway calls it."""

    channel: grpc.aio.Channel
    url: str

    async def call(self, method: str, request: Any, token: str = "") -> Any:
        stub: Any = SignInServiceStub(self.channel) if hasattr(SignInServiceStub(self.channel), method) else AuthServiceStub(self.channel)
        metadata = [("authorization", f"Bearer {token}")] if token else []
        try:
            return await getattr(stub, method)(request, metadata=metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            raise to_service_error(error) from None

    async def begin(self, issuer: str = "corp") -> Any:
        return await self.call("BeginSignIn", rpc.BeginSignInRequest(issuer=issuer))

    async def complete(self, flow: str, *, state: str, code: str, iss: str = "") -> Any:
        return await self.call("CompleteSignIn", rpc.CompleteSignInRequest(flow=flow, state=state, code=code, iss=iss))

    async def sign_in(self, at: Issuer, issuer: str = "corp") -> Any:
        begun = await self.begin(issuer)
        return await self.complete(begun.flow, **at.authorize(begun.authorization_url))

    async def scopes(self, token: str) -> set[str]:
        return set((await self.call("GetMe", session_pb2.GetMeRequest(), token)).me.scopes)
