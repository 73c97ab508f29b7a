"""Whom only those may change who may change administrators."""

from sqlalchemy import ColumnElement, exists

from user_svc.tables import identities, users
from user_svc.users.models import Role

_ADMIN_SCOPE = "users:admin"


def administers_by_issuer() -> ColumnElement[bool]:
    """Of a row of `users`: whether an issuer's last word of the person lets them change administrators."""
    return exists().where(identities.c.user_id == users.c.id, identities.c.scopes.contains([_ADMIN_SCOPE])).correlate(users)


def is_protected() -> ColumnElement[bool]:
    """Of a row of `users`: an administrator by their role, or by an issuer's word."""
    return (users.c.role == Role.ADMINISTRATOR.value) | administers_by_issuer()
