"""Facts about the rotation of the key that signs access tokens: user_svc over gRPC."""

from collections.abc import AsyncIterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clarion.user.v1 import api_key_pb2, auth_service_pb2, project_pb2, project_service_pb2, session_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.project_service_pb2_grpc import ProjectServiceStub
from mesh.errors import PermissionDenied, Unauthenticated
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.test_accounts import OPERATOR, Service, open_service


class Accounts(Service):
    """What is asked about tokens."""

    async def who(self, token: str) -> str:
        metadata = (("authorization", f"Bearer {token}"),)
        return str((await self.call(AuthServiceStub, "GetMe", session_pb2.GetMeRequest(), metadata)).me.id)


@pytest.fixture
async def service(postgres_url: NewDatabase) -> AsyncIterator[Accounts]:
    async with open_service(postgres_url) as made:
        yield Accounts(made.channel, made.database, made.user_id)


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_tokens_stay_valid_and_the_new_key_is_published_at_once(service: Accounts) -> None:
    before = (await service.log_in()).access_token
    rotated = await service.call(AuthServiceStub, "RotateSigningKey", auth_service_pb2.RotateSigningKeyRequest(), OPERATOR)
    published = await service.call(AuthServiceStub, "GetJwks", auth_service_pb2.GetJwksRequest())
    assert [key.kid for key in published.keys] == [rotated.kid, _kid(before)]
    assert await service.who(before) == service.user_id
    ((actor, subject, _),) = await service.events("SIGNING_KEY_ROTATED")
    assert (actor.partition(":")[0], subject) == ("api_key", f"signing_key:{rotated.kid}")


async def test_no_token_is_refused_for_a_key_that_no_one_knows_yet(service: Accounts) -> None:
    """Who verifies tokens has just asked for the keys, for a forged one, and does so every few seconds only."""
    forged = jwt.encode({"sub": "eve"}, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "none", "typ": "at+jwt"})
    with pytest.raises(Unauthenticated):
        await service.who(forged)
    for _ in range(2):
        await service.call(AuthServiceStub, "RotateSigningKey", auth_service_pb2.RotateSigningKeyRequest(), OPERATOR)
        assert await service.who((await service.log_in()).access_token) == service.user_id


async def test_only_who_looks_after_the_installation_rotates_it(service: Accounts) -> None:
    project = project_service_pb2.CreateProjectRequest(project=project_pb2.Project(id="shop"))
    await service.call(ProjectServiceStub, "CreateProject", project, OPERATOR)
    for wanted in (
        api_key_pb2.CreateApiKeyRequest(name="other", scopes=["users:admin"]),
        api_key_pb2.CreateApiKeyRequest(name="shop", scopes=["projects:admin"], project="shop"),
    ):
        key = (await service.call(AuthServiceStub, "CreateApiKey", wanted, OPERATOR)).secret
        metadata = (("authorization", f"Bearer {key}"),)
        with pytest.raises(PermissionDenied):
            await service.call(AuthServiceStub, "RotateSigningKey", auth_service_pb2.RotateSigningKeyRequest(), metadata)
    assert await service.events("SIGNING_KEY_ROTATED") == []
