"""Which issuers people sign in at: one file, since each has several settings and a secret."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from mesh.context import FIRST_PROJECT
from mesh.process.settings import Env
from user_svc.auth.models import SCOPES_OF_ROLE, Grant, Scope
from user_svc.sign_in.models import Issuer
from user_svc.users.models import Role

_NAME = "CLARION_OIDC_FILE"
_KNOWN = {
    "id", "title", "url", "client_id", "client_secret", "project", "scopes", "groups_claim", "groups", "link_by_email", "session_hours",
}  # fmt: skip
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_LONGEST_SESSION_H = 30 * 24
_ROLE = "role:"


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The issuers. `ca_file` signed their certificates; empty means the public ones."""

    issuers: tuple[Issuer, ...] = ()
    ca_file: str = ""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`, each with the place in the file."""
        path = env.text(_NAME, "")
        if not path:
            return cls()
        try:
            found = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError:
            env.problems.append(f"{_NAME}: there is no such file, or it can't be read")
            return cls()
        except ValueError as error:
            env.problems.append(f"{_NAME}: is no TOML: {error}")
            return cls()
        try:
            return cls(_issuers(found), _text(found, "", "ca_file", ""))
        except _Wrong as wrong:
            env.problems.append(f"{_NAME}: {wrong}")
            return cls()


class _Wrong(Exception):
    """What is wrong with the file, with the place."""


def is_safe_url(url: str) -> bool:
    """Whether it is https, or leads to this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL))
    except ValueError:
        return False


def _issuers(found: Mapping[str, Any]) -> tuple[Issuer, ...]:
    for name in found:
        if name not in {"console_url", "ca_file", "issuers"}:
            raise _Wrong(f"{name} is no setting; there are console_url, ca_file and issuers")
    console = _text(found, "", "console_url")
    if not is_safe_url(console) or not console.endswith("/console/"):
        raise _Wrong("console_url must be the console's public address, such as https://clarion.example.com/console/")
    listed = found.get("issuers", [])
    if not isinstance(listed, list) or not listed or not all(isinstance(one, dict) for one in listed):
        raise _Wrong("needs a table [[issuers]] for each issuer")
    issuers = tuple(_issuer(one, f"issuers[{index}].", f"{console}sign-in") for index, one in enumerate(listed))
    if len({issuer.id for issuer in issuers}) < len(issuers):
        raise _Wrong("issuers: two have the same id")
    return issuers


def _issuer(found: Mapping[str, Any], at: str, redirect_url: str) -> Issuer:
    for name in found:
        if name not in _KNOWN:
            raise _Wrong(f"{at}{name} is no setting; there are {', '.join(sorted(_KNOWN))}")
    url = _text(found, at, "url")
    if not is_safe_url(url):
        raise _Wrong(f"{at}url must be https://, and exactly what the issuer calls itself")
    hours = found.get("session_hours", 12)
    if not isinstance(hours, int) or not 1 <= hours <= _LONGEST_SESSION_H:
        raise _Wrong(f"{at}session_hours must be a whole number from 1 to {_LONGEST_SESSION_H}")
    identifier, link = _text(found, at, "id"), found.get("link_by_email", False)
    if not isinstance(link, bool):
        raise _Wrong(f"{at}link_by_email must be true or false")
    return Issuer(
        id=identifier,
        title=_text(found, at, "title", identifier),
        url=url,
        client_id=_text(found, at, "client_id"),
        client_secret=_text(found, at, "client_secret", ""),
        redirect_url=redirect_url,
        project=_text(found, at, "project", FIRST_PROJECT),
        scopes=("openid", *(scope for scope in _texts(found.get("scopes", ["profile", "email"]), f"{at}scopes") if scope != "openid")),
        groups_claim=_text(found, at, "groups_claim", "groups"),
        grants=_grants(found.get("groups"), at),
        link_by_email=link,
        session_hours=hours,
    )


def _grants(found: Any, at: str) -> Mapping[str, Grant]:
    if not isinstance(found, dict) or not found:
        raise _Wrong(f"{at}groups must say for at least one group (or *) what it may do: a role, or a list of scopes")
    return {group: _granted(value, f"{at}groups.{group}") for group, value in found.items()}


def _granted(value: Any, at: str) -> Grant:
    """A role that is not built in is looked up when someone signs in: it may be made later."""
    if isinstance(value, str):
        name = value.removeprefix(_ROLE)
        if name != value and name and name not in {*Role}:
            return Grant(roles=frozenset({name}))
        if value not in {*Role}:
            raise _Wrong(f"{at} must be {' or '.join(Role)}, {_ROLE}ID for one of GET /v1/roles, or a list of scopes")
        return Grant(SCOPES_OF_ROLE[Role(value)])
    scopes = _texts(value, at)
    for scope in scopes:
        if scope not in {*Scope}:
            raise _Wrong(f"{at}: there is no scope {scope}; see docs/security.md")
    return Grant(frozenset(scopes))


def _text(found: Mapping[str, Any], at: str, name: str, default: str | None = None) -> str:
    value = found.get(name, default)
    if not isinstance(value, str) or (default is None and not value):
        raise _Wrong(f"{at}{name} must be a text" + (", and is required" if default is None else ""))
    return value


def _texts(value: Any, at: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Wrong(f"{at} must be a list of texts")
    return value
