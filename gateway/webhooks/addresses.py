"""Which addresses webhooks may be posted to: public ones, and those that the operator allows. Pure.

Against requests that a caller has us make inside our own network (OWASP, Server-Side Request Forgery Prevention): what is checked is the
address that is connected to, in every form that can carry an IPv4 address in an IPv6 one.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import inet_aton
from urllib.parse import urlsplit

from yarl import URL

from mesh.errors import InvalidArgument

Network = IPv4Network | IPv6Network

# Azure's, which looks public: every virtual machine there reaches its host by it. Protocol assignments (RFC 6890), among them Oracle's
# metadata. Relays to IPv6 (RFC 7526), and documentation (RFC 9637), which `is_global` does not know.
_FORBIDDEN = (
    IPv4Network("168.63.129.16/32"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3ffe::/16"),
    IPv6Network("3fff::/20"),
)
# The only part of IPv6 from which public addresses are given out (RFC 4291). `is_global` takes site-local ones (fec0::/10) for public.
_GIVEN_OUT = IPv6Network("2000::/3")
# Where an IPv6 address is a way to write an IPv4 one: RFC 4291, RFC 6052.
_WRITTEN_SO = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_LEAST_PORT = 1024


def is_allowed(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether the address, as a resolver answers it, may be connected to. False for what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if any(address in network for network in allowed if network.version == address.version):
        return True
    return all(map(_is_public, _meant_by(address)))


def literal_of(url: str) -> str | None:
    """The address that a URL has in place of a name, as it is read where it is called; None for a name. Raises ValueError for no URL.

    Resolvers take what inet_aton takes: 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1, too.
    """
    host = URL(url).raw_host or ""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return str(IPv4Address(inet_aton(host)))
    except OSError:
        return None


def check_url(field: str, url: str, *, allowed: Sequence[Network] = ()) -> str:
    """A URL that may be called; over http:// too where anything is `allowed` that is not public, which is for development.

    Where a name leads is found out at each call. Raises InvalidArgument.
    """
    try:
        parts = urlsplit(url)
        port, literal = parts.port, literal_of(url)
    except ValueError:
        raise InvalidArgument.of(field, "is no URL") from None
    schemes = {"https", "http"} if allowed else {"https"}
    if parts.scheme not in schemes or not parts.hostname or any(character <= " " or character == "\\" for character in url):
        raise InvalidArgument.of(field, "must be a URL that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise InvalidArgument.of(field, "must hold no user name or password; events are signed")
    if parts.fragment:
        raise InvalidArgument.of(field, "must hold no fragment (#…)")
    if not (port is None or port in {80, 443} or port >= _LEAST_PORT):
        raise InvalidArgument.of(field, f"must have port 443, or one above {_LEAST_PORT - 1}")
    if literal is not None and not is_allowed(literal, allowed):
        raise InvalidArgument.of(field, "must not lead to an address that is not public; give a name or a public address")
    return url


def _meant_by(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and those that a gateway on the way would make of it."""
    if isinstance(address, IPv6Address) and any(address in network for network in _WRITTEN_SO):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if isinstance(address, IPv6Address):
        yield from (inner for inner in (address.sixtofour, *(address.teredo or ())) if inner is not None)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _FORBIDDEN if network.version == address.version):
        return False
    if isinstance(address, IPv6Address) and address not in _GIVEN_OUT:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
