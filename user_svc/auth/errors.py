"""Errors about credentials: they never say which part was wrong."""

from datetime import datetime

from mesh.errors import FieldViolation, InvalidArgument, NotFound, PermissionDenied, Unauthenticated


class LoginFailed(Unauthenticated):
    """Address or password is wrong; the answer does not say which."""

    reason = "LOGIN_FAILED"

    def __init__(self) -> None:
        super().__init__("the e-mail address or the password is wrong")


class WrongPassword(PermissionDenied):
    """The person is known by their token, but the password that this takes too is another one."""

    reason = "WRONG_PASSWORD"

    def __init__(self) -> None:
        super().__init__("current_password: is wrong", metadata={"field": "current_password"})


class AddressRefused(InvalidArgument):
    """Taken, perhaps: a member does not learn who is known here."""

    reason = "ADDRESS_REFUSED"

    def __init__(self) -> None:
        rule = "can't be used for this account; take another one, or ask an administrator"
        super().__init__(f"new_email: {rule}", violations=[FieldViolation("new_email", rule)])


class PersonNeeded(PermissionDenied):
    """A program's key has no password and no address."""

    reason = "PERSON_NEEDED"

    def __init__(self) -> None:
        super().__init__("only a person's own token is taken here; log in, and call with that access token")


class RefreshRejected(Unauthenticated):
    """The refresh token is unknown, expired, revoked or was used before."""

    reason = "REFRESH_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("the refresh token is not valid; log in again")


class ApiKeyNotFound(NotFound):
    """There is no such key, or it works no more."""

    reason = "API_KEY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such API key")


class ScopeNotHeld(PermissionDenied):
    """A caller can't give what it doesn't have."""

    reason = "SCOPE_NOT_HELD"

    def __init__(self, scope: str) -> None:
        super().__init__(f"a key can't get the scope {scope}, which its maker does not hold", metadata={"scope": scope})


class TestKeyOnly(PermissionDenied):
    """A key that reaches no provider must not make one that does."""

    __test__ = False  # no test case, whatever its name says to pytest
    reason = "TEST_KEY_ONLY"

    def __init__(self) -> None:
        super().__init__("a test key makes test keys only; set test, or use a live key")


class MakerGone(Unauthenticated):
    """The credential that would make another one was revoked, has expired, or its person was deleted, moments ago."""

    reason = "CREDENTIAL_REVOKED"

    def __init__(self) -> None:
        super().__init__("the credential of this call was revoked or has expired")


class ExpiresAfterMaker(InvalidArgument):
    """No key outlives the one that made it."""

    reason = "EXPIRES_AFTER_MAKER"

    def __init__(self, end: datetime) -> None:
        description = f"must not be after {end:%Y-%m-%dT%H:%M:%SZ}, when the key that makes it expires"
        super().__init__(f"expire_time: {description}", violations=[FieldViolation("expire_time", description)])
