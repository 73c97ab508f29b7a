"""What can go wrong with second factors. They say what to do next, and nothing about codes."""

from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, PermissionDenied, ResourceExhausted, Unauthenticated


class SecondFactorRequired(Unauthenticated):
    """The password fits, and the account has a second factor."""

    reason = "SECOND_FACTOR_REQUIRED"

    def __init__(self) -> None:
        super().__init__("code: a code of your authenticator app is needed too, or a recovery code", metadata={"field": "code"})


class SecondFactorWrong(Unauthenticated):
    """At the sign-in: not the app's code of now, or one that was used."""

    reason = "SECOND_FACTOR_WRONG"

    def __init__(self) -> None:
        super().__init__("code: is wrong, or was used before; wait for the app's next one", metadata={"field": "code"})


class CodeWrong(PermissionDenied):
    """The same, of a person who is known by their token."""

    reason = "SECOND_FACTOR_WRONG"

    def __init__(self) -> None:
        super().__init__("code: is wrong, or was used before; wait for the app's next one", metadata={"field": "code"})


class CodeMissing(InvalidArgument):
    """One's own second factor is removed with a code, so that a stolen token does not do it."""

    reason = "SECOND_FACTOR_CODE_MISSING"

    def __init__(self) -> None:
        rule = "is needed for your own: a code of the app, or a recovery code"
        super().__init__(f"code: {rule}", violations=[FieldViolation("code", rule)])


class CodesThrottled(ResourceExhausted):
    """Too many wrong codes in a row. A recovery code is taken all the same."""

    reason = "SECOND_FACTOR_THROTTLED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many wrong codes; try again later, or use a recovery code", retry_after_s=retry_after_s)


class SecondFactorExists(FailedPrecondition):
    """There is one already."""

    reason = "SECOND_FACTOR_EXISTS"

    def __init__(self) -> None:
        super().__init__("this account has a second factor; remove it first with POST /v1/users/{id}:removeSecondFactor")


class SecondFactorNotBegun(FailedPrecondition):
    """There is nothing to confirm, or nothing that takes codes."""

    reason = "SECOND_FACTOR_MISSING"

    def __init__(self) -> None:
        super().__init__("this account has no second factor; begin with POST /v1/auth/begin-second-factor")


class SecondFactorUnreadable(FailedPrecondition):
    """The secret was sealed under a sealing secret that this service has no more."""

    reason = "SECOND_FACTOR_UNREADABLE"

    def __init__(self) -> None:
        super().__init__(
            "codes of the app can't be checked any more; use a recovery code, or have an administrator remove the second factor"
        )
