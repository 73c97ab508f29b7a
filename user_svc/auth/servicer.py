"""clarion.user.v1.AuthService: messages in, one use case, messages out."""

from typing import Protocol

from clarion.user.v1 import api_key_pb2, session_pb2
from clarion.user.v1 import auth_service_pb2 as rpc
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceServicer
from mesh.context import FIRST_PROJECT, Caller, current
from mesh.rpc.timestamps import from_timestamp
from user_svc.auth.api_keys import ApiKeys
from user_svc.auth.convert import (
    api_key_to_proto,
    bounds_from_proto,
    changed_to_proto,
    jwk_to_proto,
    login_to_proto,
    me_to_proto,
    refresh_to_proto,
    session_to_proto,
)
from user_svc.auth.rotating import SigningKeyRotation
from user_svc.auth.session_desk import SessionDesk
from user_svc.auth.use_cases import Sessions


class People(Protocol):
    """Who is meant."""

    async def resolve(self, caller: Caller, reference: str) -> str:
        """Our id for an id of ours or an external one; what belongs to no person comes back as it is."""


class Announced(Protocol):
    """Addresses that are to be someone's once they are verified."""

    async def announce_primary(self, project: str, user_id: str, address: str) -> None:
        """Raises InvalidArgument, AddressIsPrimary, TooManyAddresses or TooManyMails; does not say whether the address is another's."""


class AuthServicer(AuthServiceServicer):
    """Serves authentication and API keys. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        desk: SessionDesk,
        people: People,
        announced: Announced,
        api_keys: ApiKeys,
        rotation: SigningKeyRotation,
    ) -> None:
        self._signing_keys = rotation
        self._sessions = sessions
        self._announced = announced
        self._desk = desk
        self._people = people
        self._api_keys = api_keys

    async def Login(self, request: rpc.LoginRequest, context: object) -> rpc.LoginResponse:
        project = request.project or FIRST_PROJECT
        return login_to_proto(await self._sessions.log_in(project, request.email, request.password, request.code))

    async def Refresh(self, request: rpc.RefreshRequest, context: object) -> rpc.RefreshResponse:
        return refresh_to_proto(await self._sessions.refresh(request.refresh_token))

    async def Logout(self, request: rpc.LogoutRequest, context: object) -> rpc.LogoutResponse:
        await self._sessions.log_out(request.refresh_token)
        return rpc.LogoutResponse()

    async def ChangePassword(self, request: rpc.ChangePasswordRequest, context: object) -> rpc.ChangePasswordResponse:
        tokens = await self._sessions.change_password(current().caller, request.current_password, request.new_password)
        return changed_to_proto(tokens)

    async def ChangeEmail(self, request: rpc.ChangeEmailRequest, context: object) -> rpc.ChangeEmailResponse:
        caller, password = current().caller, request.current_password
        if request.when_verified:
            login = await self._sessions.prove(caller, password)
            await self._announced.announce_primary(login.project, login.user_id, request.new_email)
        else:
            await self._sessions.change_email(caller, password, request.new_email)
        return rpc.ChangeEmailResponse()

    async def GetMe(self, request: session_pb2.GetMeRequest, context: object) -> session_pb2.GetMeResponse:
        return session_pb2.GetMeResponse(me=me_to_proto(current().caller))

    async def ListSessions(self, request: session_pb2.ListSessionsRequest, context: object) -> session_pb2.ListSessionsResponse:
        caller = current().caller
        found = await self._desk.list_sessions(caller, await self._people.resolve(caller, request.user_id))
        return session_pb2.ListSessionsResponse(sessions=[session_to_proto(session, current=own) for session, own in found])

    async def DeleteSession(self, request: session_pb2.DeleteSessionRequest, context: object) -> session_pb2.DeleteSessionResponse:
        caller = current().caller
        person = await self._people.resolve(caller, request.user_id)
        return session_pb2.DeleteSessionResponse(ended_count=await self._desk.end_session(caller, person, request.id))

    async def GetJwks(self, request: rpc.GetJwksRequest, context: object) -> rpc.GetJwksResponse:
        return rpc.GetJwksResponse(keys=map(jwk_to_proto, await self._signing_keys.jwks()))

    async def RotateSigningKey(self, request: rpc.RotateSigningKeyRequest, context: object) -> rpc.RotateSigningKeyResponse:
        return rpc.RotateSigningKeyResponse(kid=await self._signing_keys.rotate(current().caller))

    async def CreateApiKey(self, request: api_key_pb2.CreateApiKeyRequest, context: object) -> api_key_pb2.CreateApiKeyResponse:
        expire_time = from_timestamp("expire_time", request.expire_time) if request.HasField("expire_time") else None
        key, secret = await self._api_keys.create_api_key(
            current().caller,
            project=request.project,
            name=request.name,
            scopes=request.scopes,
            expire_time=expire_time,
            test=request.test,
            bounds=bounds_from_proto(request),
        )
        return api_key_pb2.CreateApiKeyResponse(api_key=api_key_to_proto(key), secret=secret)

    async def ListApiKeys(self, request: api_key_pb2.ListApiKeysRequest, context: object) -> api_key_pb2.ListApiKeysResponse:
        page = await self._api_keys.list_api_keys(current().caller, request.page_size, request.page_token, project=request.project)
        return api_key_pb2.ListApiKeysResponse(api_keys=map(api_key_to_proto, page.items), next_page_token=page.next_token)

    async def DeleteApiKey(self, request: api_key_pb2.DeleteApiKeyRequest, context: object) -> api_key_pb2.DeleteApiKeyResponse:
        await self._api_keys.delete_api_key(current().caller, request.id, project=request.project)
        return api_key_pb2.DeleteApiKeyResponse()

    async def LookUpApiKey(self, request: api_key_pb2.LookUpApiKeyRequest, context: object) -> api_key_pb2.LookUpApiKeyResponse:
        key = await self._api_keys.get_by_hash(request.key_sha256)
        return api_key_pb2.LookUpApiKeyResponse(api_key=api_key_to_proto(key))
