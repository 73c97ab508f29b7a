"""Facts about the rotation of the key that signs access tokens: user_svc over gRPC."""

from collections.abc import AsyncIterator

import jwt
import pytest

from clarion.user.v1 import api_key_pb2, auth_service_pb2, project_pb2, project_service_pb2, session_pb2
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.project_service_pb2_grpc import ProjectServiceStub
from mesh.errors import PermissionDenied
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.test_accounts import OPERATOR, Service, open_service


@pytest.fixture
async def service(postgres_url: NewDatabase) -> AsyncIterator[Service]:
    async with open_service(postgres_url) as made:
        yield made


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_tokens_of_before_stay_valid_and_new_ones_have_the_new_key(service: Service) -> None:
    before = (await service.log_in()).access_token
    rotated = await service.call(AuthServiceStub, "RotateSigningKey", auth_service_pb2.RotateSigningKeyRequest(), OPERATOR)
    after = (await service.log_in()).access_token
    assert (_kid(after), _kid(before) != _kid(after)) == (rotated.kid, True)
    for token in (before, after):
        me = await service.call(AuthServiceStub, "GetMe", session_pb2.GetMeRequest(), (("authorization", f"Bearer {token}"),))
        assert me.me.id == service.user_id
    published = await service.call(AuthServiceStub, "GetJwks", auth_service_pb2.GetJwksRequest())
    assert [key.kid for key in published.keys] == [_kid(after), _kid(before)]
    ((actor, subject, _),) = await service.events("SIGNING_KEY_ROTATED")
    assert (actor.partition(":")[0], subject) == ("api_key", f"signing_key:{rotated.kid}")


async def test_only_who_looks_after_the_installation_rotates_it(service: Service) -> None:
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
