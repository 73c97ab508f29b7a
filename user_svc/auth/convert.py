"""Credentials from models to their messages."""

from collections.abc import Mapping
from typing import Any

from clarion.user.v1 import api_key_pb2, auth_service_pb2, session_pb2
from mesh.context import Caller, CallerKind
from mesh.rpc.timestamps import to_timestamp
from user_svc.auth.models import ApiKey, Tokens
from user_svc.auth.session_desk import Session

_KINDS = {CallerKind.USER: session_pb2.CALLER_KIND_USER, CallerKind.API_KEY: session_pb2.CALLER_KIND_API_KEY}


def login_to_proto(tokens: Tokens) -> auth_service_pb2.LoginResponse:
    return auth_service_pb2.LoginResponse(**_fields(tokens))


def refresh_to_proto(tokens: Tokens) -> auth_service_pb2.RefreshResponse:
    return auth_service_pb2.RefreshResponse(**_fields(tokens))


def changed_to_proto(tokens: Tokens) -> auth_service_pb2.ChangePasswordResponse:
    return auth_service_pb2.ChangePasswordResponse(**_fields(tokens))


def jwk_to_proto(jwk: Mapping[str, Any]) -> auth_service_pb2.Jwk:
    return auth_service_pb2.Jwk(**jwk)


def me_to_proto(caller: Caller) -> session_pb2.Me:
    message = session_pb2.Me(
        kind=_KINDS[caller.kind],
        id=caller.id,
        name=caller.name,
        project=caller.project,
        scopes=sorted(caller.scopes),
        test=caller.test,
    )
    if caller.expires_at is not None:
        message.expire_time.FromSeconds(int(caller.expires_at))
    return message


def session_to_proto(session: Session, *, current: bool) -> session_pb2.Session:
    return session_pb2.Session(
        id=session.id,
        create_time=to_timestamp(session.create_time),
        last_use_time=to_timestamp(session.last_use_time),
        expire_time=to_timestamp(session.expire_time),
        current=current,
    )


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
