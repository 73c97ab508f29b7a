"""What a key is narrowed to: how names and domains are written, and what they stand for."""

from collections.abc import Iterable, Sequence

from naming.email_address import domain_key

TEMPLATES, CATEGORIES, RECIPIENT_DOMAINS = "templates", "categories", "recipient_domains"
_ANY = "*"
_BELOW = "*."


def covers(patterns: Iterable[str], name: str) -> bool:
    """Whether a name is one of the patterns: itself, or a beginning with "*" after it."""
    return any(name.startswith(one[:-1]) if one.endswith(_ANY) else name == one for one in patterns)


def covers_address(domains: Sequence[str], address: str) -> bool:
    """Whether an e-mail address is of one of the domains ("example.com"), or below one ("*.example.com"). An empty address is of none."""
    _, at, given = address.rpartition("@")
    domain = domain_key(given) if at else None
    if domain is None:
        return False
    return any(domain.endswith(one[1:]) if one.startswith(_BELOW) else domain == one for one in domains)


def domain_pattern(text: str) -> str | None:
    """The domain, or "*." and the domain, as it is kept: in lower case and ASCII (IDNA). None when it is none."""
    wild = text.startswith(_BELOW)
    domain = domain_key(text.removeprefix(_BELOW))
    if domain is None:
        return None
    return _BELOW + domain if wild else domain
