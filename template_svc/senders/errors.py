"""The errors of senders, each with its stable reason."""

from collections.abc import Sequence

from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound, Unavailable


class SenderNotFound(NotFound):
    """There is no sender of this name."""

    reason = "SENDER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no sender {name!r}")


class SenderUnknown(InvalidArgument):
    """A version names a sender that does not exist."""

    reason = "SENDER_NOT_FOUND"

    @classmethod
    def of_version(cls, name: str) -> "SenderUnknown":
        """The version would be from the sender `name`."""
        message = f"there is no sender {name!r}; PUT /v1/senders/{{name}} makes one"
        return cls(f"sender: {message}", violations=[FieldViolation("sender", message)])


class SenderMissing(FailedPrecondition):
    """A version that is to come into use names a sender that was deleted since it was made."""

    reason = "SENDER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"the version is from the sender {name!r}, which was deleted; PUT /v1/senders/{name} makes it again")


class DomainNotFound(NotFound):
    """The project has no such sender domain."""

    reason = "SENDER_DOMAIN_NOT_FOUND"

    def __init__(self, domain: str) -> None:
        super().__init__(f"there is no sender domain {domain!r}; PUT /v1/sender-domains/{{domain}} adds one")


class DomainNotVerified(FailedPrecondition):
    """An address is of a domain that the project has not shown to be its own."""

    reason = "SENDER_DOMAIN_NOT_VERIFIED"

    def __init__(self, domain: str) -> None:
        message = (
            f"its domain {domain!r} is no verified sender domain: "
            f"add it with PUT /v1/sender-domains/{domain}, add the record to DNS, and verify it"
        )
        super().__init__(f"sender.email: {message}", violations=[FieldViolation("sender.email", message)])


class SenderInUse(FailedPrecondition):
    """Versions that are published, tried or planned name the sender."""

    reason = "SENDER_IN_USE"

    def __init__(self, templates: Sequence[str]) -> None:
        names = ", ".join(templates)
        super().__init__(f"versions of {names} that are published, tried or planned are from this sender; put others in their place first")


class DomainInUse(FailedPrecondition):
    """Senders have addresses of the domain."""

    reason = "SENDER_DOMAIN_IN_USE"

    def __init__(self, senders: Sequence[str]) -> None:
        super().__init__(f"the senders {', '.join(senders)} have addresses of this domain; change or delete them first")


class NoSealingSecret(FailedPrecondition):
    """The installation has nothing to seal private keys with."""

    reason = "NO_SEALING_SECRET"

    def __init__(self) -> None:
        super().__init__("nothing to keep DKIM keys under: who runs this installation sets CLARION_SEALING_SECRET for template_svc")


class TooMany(FailedPrecondition):
    """The project has as many as it may have."""

    reason = "TOO_MANY_SENDERS"

    def __init__(self, what: str, most: int) -> None:
        super().__init__(f"the project has {most} {what} already; delete one first")


class DnsUnavailable(Unavailable):
    """DNS gave no answer."""

    reason = "DNS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("DNS gives no answer at the moment; nothing has changed", retry_after_s=5)
