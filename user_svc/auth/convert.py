"""Credentials from models to their messages."""

from collections.abc import Mapping
from typing import Any

from clarion.user.v1 import api_key_pb2, auth_service_pb2, session_pb2
from mesh.context import Bounds, Caller, CallerKind
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from naming.bounds import CATEGORIES, RECIPIENT_DOMAINS, TEMPLATES, domain_pattern
from user_svc.auth.models import ApiKey, Tokens
from user_svc.auth.session_desk import Session

_KINDS = {CallerKind.USER: session_pb2.CALLER_KIND_USER, CallerKind.API_KEY: session_pb2.CALLER_KIND_API_KEY}


def login_to_proto(tokens: Tokens) -> auth_service_pb2.LoginResponse:
    return auth_service_pb2.LoginResponse(**token_fields(tokens), second_factor_missing=tokens.second_factor_missing)


def refresh_to_proto(tokens: Tokens) -> auth_service_pb2.RefreshResponse:
    return auth_service_pb2.RefreshResponse(**token_fields(tokens))


def changed_to_proto(tokens: Tokens) -> auth_service_pb2.ChangePasswordResponse:
    return auth_service_pb2.ChangePasswordResponse(**token_fields(tokens))


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
        restrictions=_restrictions(caller.bounds),
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
        restrictions=_restrictions(key.bounds),
    )


def bounds_from_proto(request: api_key_pb2.CreateApiKeyRequest) -> Bounds:
    """Raises InvalidArgument for what is no domain, and for restrictions that narrow nothing: a program's empty list makes no wide key."""
    restrictions = request.restrictions
    domains = [_domain(index, text) for index, text in enumerate(restrictions.recipient_domains)]
    kinds = {TEMPLATES: restrictions.templates, CATEGORIES: restrictions.categories, RECIPIENT_DOMAINS: domains}
    bounds = tuple((kind, tuple(sorted(set(names)))) for kind, names in kinds.items() if names)
    if request.HasField("restrictions") and not bounds:
        raise InvalidArgument.of("restrictions", "must name at least one template, category or domain; leave it out for a key without any")
    return bounds


def _restrictions(bounds: Bounds) -> api_key_pb2.KeyRestrictions | None:
    return api_key_pb2.KeyRestrictions(**{kind: list(names) for kind, names in bounds}) if bounds else None


def _domain(index: int, text: str) -> str:
    domain = domain_pattern(text)
    if domain is None:
        raise InvalidArgument.of(f"restrictions.recipient_domains[{index}]", 'must be a domain such as "example.com" or "*.example.com"')
    return domain


def token_fields(tokens: Tokens) -> dict[str, Any]:
    """The fields of each response that carries tokens."""
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in_s,
        "refresh_token": tokens.refresh_token,
        "user_id": tokens.user_id,
    }
