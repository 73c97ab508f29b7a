"""Credentials from models to their messages."""

from collections.abc import Mapping
from typing import Any

from clarion.user.v1 import api_key_pb2, auth_service_pb2
from mesh.rpc.timestamps import to_timestamp
from user_svc.auth.models import ApiKey, Tokens


def login_to_proto(tokens: Tokens) -> auth_service_pb2.LoginResponse:
    return auth_service_pb2.LoginResponse(**_fields(tokens))


def refresh_to_proto(tokens: Tokens) -> auth_service_pb2.RefreshResponse:
    return auth_service_pb2.RefreshResponse(**_fields(tokens))


def changed_to_proto(tokens: Tokens) -> auth_service_pb2.ChangePasswordResponse:
    return auth_service_pb2.ChangePasswordResponse(**_fields(tokens))


def jwk_to_proto(jwk: Mapping[str, Any]) -> auth_service_pb2.Jwk:
    return auth_service_pb2.Jwk(**jwk)


def api_key_to_proto(key: ApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        created_by=key.created_by,
        create_time=to_timestamp(key.create_time),
        expire_time=to_timestamp(key.expire_time),
        revoke_time=to_timestamp(key.revoke_time),
        project=key.project,
        test=key.test,
    )


def _fields(tokens: Tokens) -> dict[str, Any]:
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in_s,
        "refresh_token": tokens.refresh_token,
        "user_id": tokens.user_id,
    }
