"""Why a sign-in at an issuer did not lead in. They name the rule, and never a token, a code or an address."""

from mesh.errors import NotFound, PermissionDenied, Unauthenticated, Unavailable


class IssuerNotFound(NotFound):
    """No issuer of this name is set up."""

    reason = "ISSUER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such issuer; GET /v1/auth/issuers lists them")


class IssuerUnavailable(Unavailable):
    """The issuer does not answer, or not as the specification says."""

    reason = "ISSUER_UNAVAILABLE"

    def __init__(self, issuer: str, what: str) -> None:
        super().__init__(f"the issuer {issuer} {what}; try again later, or sign in by password")


class SignInRefused(Unauthenticated):
    """What came back from the issuer, or from the browser, breaks a rule."""

    reason = "SIGN_IN_REFUSED"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}; begin the sign-in again", metadata={"field": field})


class GroupMissing(PermissionDenied):
    """The issuer knows them, and nothing is granted to their groups."""

    reason = "SIGN_IN_NOT_ALLOWED"

    def __init__(self) -> None:
        super().__init__("you are known at the issuer, but none of your groups may sign in here; ask an operator to grant one something")


class AddressHeld(PermissionDenied):
    """Someone here has the address already: whether they are the same person is for the operator to say."""

    reason = "SIGN_IN_ADDRESS_TAKEN"

    def __init__(self) -> None:
        super().__init__("a person here has your e-mail address already; an operator can allow it with link_by_email of the issuer")
