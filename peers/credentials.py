"""The credential source of every service but user_svc: its RPCs."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.user.v1 import api_key_pb2, auth_service_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from mesh.context import FIRST_PROJECT
from mesh.errors import NotFound
from mesh.rpc.identity import ApiKeyInfo


class RemoteCredentials:
    """Asks user_svc over `channel`. Both methods raise Unavailable while it is down."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = AuthServiceStub(channel)

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The public keys of access tokens."""
        response = await self._auth.GetJwks(auth_service_pb2.GetJwksRequest())
        return [{"kty": key.kty, "crv": key.crv, "kid": key.kid, "use": key.use, "alg": key.alg, "x": key.x} for key in response.keys]

    async def look_up_api_key(self, sha256: bytes) -> ApiKeyInfo | None:
        """The key with this SHA-256, working or not; None when it is unknown."""
        try:
            response = await self._auth.LookUpApiKey(api_key_pb2.LookUpApiKeyRequest(key_sha256=sha256))
        except NotFound:
            return None
        key = response.api_key
        expires_at = key.expire_time.ToNanoseconds() / 1e9 if key.HasField("expire_time") else None
        return ApiKeyInfo(
            key.id,
            key.name,
            frozenset(key.scopes),
            expires_at,
            revoked=key.HasField("revoke_time"),
            project=key.project or FIRST_PROJECT,
            test=key.test,
            bounds=tuple((field.name, tuple(names)) for field, names in key.restrictions.ListFields()),
        )
