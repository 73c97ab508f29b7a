"""A network that drops everything without a word, between the worker and a server in a network namespace of its own."""

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from email_worker import provider as provider_module
from email_worker.errors import SmtpOutcomeUnknown, SmtpUnavailable
from email_worker.models import ComposedMail
from email_worker.provider import SmtpProvider
from email_worker.settings import SmtpSettings
from mesh.testing import FakeClock
from tests.waiting import GUARD_S

pytestmark = pytest.mark.processes

_NEWNET = 0x40000000  # sched.h: CLONE_NEWNET
# Of the range for tests of networks (RFC 2544), which no machine has; each process its own.
_NET = f"198.{18 + os.getpid() % 2}.{os.getpid() // 2 % 256}"
_OURS, _THEIRS = f"{_NET}.1", f"{_NET}.2"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def _network() -> Iterator[tuple[str, str]]:
    """A namespace and the name of our end of the cable to it."""
    name, ours = f"clr{os.getpid()}", f"clro{os.getpid()}"
    _ip("netns", "add", name)
    _ip("link", "add", ours, "type", "veth", "peer", "name", "theirs", "netns", name)
    try:
        _ip("address", "add", f"{_OURS}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", name, "address", "add", f"{_THEIRS}/30", "dev", "theirs")
        _ip("-n", name, "link", "set", "theirs", "up")
        yield name, ours
    finally:
        _ip("link", "delete", ours)  # a socket that is still open keeps the namespace
        _ip("netns", "delete", name)


def _listen_in(namespace: str) -> socket.socket:
    """A socket stays in the network in which it was made; the namespace is a thread's own."""
    made: list[socket.socket] = []

    def listen() -> None:
        with Path("/run/netns", namespace).open("rb") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server((_THEIRS, 0)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    return made[0]


@dataclass
class SilentServer:
    """Takes every command, and never answers the one that it is `silent` at."""

    port: int = 0
    silent: bytes = b"."
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        writer.write(b"220 silent.test\r\n")
        in_text = False
        while line := await reader.readline():
            word = line.strip().split(b" ")[0]
            if word == self.silent:
                self.reached.set()
            elif in_text:
                in_text = word != b"."
            else:
                in_text = word == b"DATA"
                writer.write(b"354 go on\r\n" if in_text else b"250 fine\r\n")

    def end(self) -> None:
        """Its clients may be where nothing reaches them any more."""
        for writer in self.open:
            writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[tuple[SilentServer, str]]:
    """The server, and the interface behind which it is."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("a network namespace takes root and iproute2")
    try:
        network = _network()
        namespace, interface = network.__enter__()
    except subprocess.CalledProcessError:
        pytest.skip("this machine makes no network namespaces")
    try:
        silent = SilentServer()
        listener = await asyncio.start_server(silent.serve, sock=_listen_in(namespace))
        silent.port = listener.sockets[0].getsockname()[1]
        yield silent, interface
        silent.end()
        listener.close()
        await listener.wait_closed()
    finally:
        network.__exit__(None, None, None)


@pytest.mark.parametrize(("silent", "error"), [(b"RCPT", SmtpUnavailable), (b".", SmtpOutcomeUnknown)])
async def test_a_network_that_drops_everything_is_noticed_long_before_the_servers_time_is_over(
    server: tuple[SilentServer, str], silent: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "_UNANSWERED_S", 2)
    running, interface = server
    running.silent = silent
    settings = SmtpSettings(host=_THEIRS, port=running.port, tls="none", timeout_s=10 * GUARD_S, data_timeout_s=10 * GUARD_S)
    smtp = SmtpProvider(settings, sender="no-reply@example.com", clock=FakeClock())
    async with asyncio.timeout(GUARD_S):
        sending = asyncio.create_task(smtp.send(ComposedMail("ada@example.org", b"Subject: Hello\r\n\r\nHello\r\n")))
        await running.reached.wait()
        _ip("link", "set", interface, "down")
        with pytest.raises(error):
            await sending
    await smtp.close()
