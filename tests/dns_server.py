"""A DNS server on loopback that has texts for names and nothing else (RFC 1035, by dnspython's own messages)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

# What a piece of a TXT record holds at most.
_PIECE = 255


class DnsServer(asyncio.DatagramProtocol):
    """Answers with `texts` of a name in lower case; NXDOMAIN for others, SERVFAIL while it is `broken`, nothing while `silent`."""

    def __init__(self) -> None:
        self.texts: dict[str, Sequence[str]] = {}
        self.broken = self.silent = False
        self.port = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.silent:
            self._transport.sendto(self._answer(data), addr)

    def _answer(self, data: bytes) -> bytes:
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        question = asked.question[0]
        texts = self.texts.get(question.name.to_text(omit_final_dot=True).lower())
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.TXT:
            pieces = [" ".join(f'"{text[at : at + _PIECE]}"' for at in range(0, max(len(text), 1), _PIECE)) for text in texts]
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, dns.rdataclass.IN, dns.rdatatype.TXT, pieces))
        return answer.to_wire(max_size=65535)


@asynccontextmanager
async def open_dns_server(texts: Mapping[str, Sequence[str]] | None = None) -> AsyncIterator[DnsServer]:
    """A server until the end of the block."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(DnsServer, local_addr=("127.0.0.1", 0))
    server.texts.update(texts or {})
    try:
        yield server
    finally:
        transport.close()
