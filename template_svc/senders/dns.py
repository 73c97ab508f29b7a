"""Texts in DNS, by dnspython: the resolver that the machine is set up with, or the servers that the settings name."""

from collections.abc import Sequence

from dns.asyncresolver import Resolver
from dns.exception import DNSException, Timeout
from dns.rdatatype import TXT
from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers, NoResolverConfiguration

from template_svc.senders.errors import DnsUnavailable

_TIMEOUT_S = 5.0


class Dns:
    """Implements `use_cases.TextRecords`. `servers` are IP addresses, each with its port or 53."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        self._servers = servers

    async def texts(self, name: str) -> Sequence[str]:
        """The texts of a name, each put together of its pieces; none where the name has none. Raises DnsUnavailable."""
        try:
            resolver = Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = [address for address, _ in self._servers]
                resolver.nameserver_ports = dict(self._servers)
            answer = await resolver.resolve(name, TXT, search=False, lifetime=_TIMEOUT_S)
        except (NXDOMAIN, NoAnswer):
            return ()
        except (Timeout, NoNameservers, NoResolverConfiguration, OSError):
            raise DnsUnavailable from None
        except DNSException:  # an answer that is none
            raise DnsUnavailable from None
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
