"""What is an e-mail address, the same for everybody who lets a person type one."""

from email_validator import EmailNotValidError, validate_email

from mesh.errors import InvalidArgument


def check_email(field: str, value: str) -> str:
    """The address as given, with its domain in ASCII (IDNA). Raises InvalidArgument, which never repeats the address."""
    try:
        address = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True)
    except EmailNotValidError:
        raise InvalidArgument.of(field, "must be an e-mail address such as ada@example.com, without spaces or line breaks") from None
    return value if value.isascii() else str(address.ascii_email)
