"""Whom only those may change who may change administrators."""

from sqlalchemy import Boolean, ColumnElement, literal_column

from user_svc.users.models import Role


def administers_by_issuer() -> ColumnElement[bool]:
    """Of a row of `users`: whether an issuer's last word of the person lets them change administrators."""
    return literal_column(_by_issuer("users"), Boolean)


def is_protected() -> ColumnElement[bool]:
    """Of a row of `users`: an administrator by their role or by an issuer's word, or who has a role beside these."""
    return literal_column(protected_sql("users"), Boolean)


def protected_sql(users: str) -> str:
    """`is_protected` as text, for the table of people under this name."""
    return f"({users}.role = '{Role.ADMINISTRATOR.value}' OR {users}.assigned_role IS NOT NULL OR {_by_issuer(users)})"


def _by_issuer(users: str) -> str:
    return f"""(
        EXISTS (SELECT 1 FROM identities i WHERE i.user_id = {users}.id AND 'users:admin' = ANY(i.scopes))
        OR EXISTS (
            SELECT 1 FROM identities i JOIN roles r ON r.project = i.project AND r.id = ANY(i.roles)
            WHERE i.user_id = {users}.id AND 'users:admin' = ANY(r.scopes)
        )
    )"""
