"""A local SMTP server that shows what it received and misbehaves on demand: RFC 5321 as far as Clarion's client speaks it."""

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from devstack.smtp_session import Action, Behaviour, ReceivedMail, Session, Stage

_KEPT_MAILS = 10_000


def replies(reply: str, stage: Stage = Stage.RCPT) -> Behaviour:
    """Answers this instead of 250."""
    return Behaviour(Action.REPLY, stage, reply)


def is_slow(delay_s: float) -> Behaviour:
    """Accepts the mail, and says so after the delay."""
    return Behaviour(Action.SLOW, Stage.DATA, delay_s=delay_s)


def hangs(stage: Stage = Stage.DATA) -> Behaviour:
    """Never answers."""
    return Behaviour(Action.HANG, stage)


def drops(stage: Stage = Stage.DATA) -> Behaviour:
    """Closes the connection instead of answering."""
    return Behaviour(Action.DROP, stage)


@dataclass
class SmtpServer:
    """The running server. Recipients without a script are accepted, unless `everyone` says what happens to them.

    `unanswered` are mails that arrived whole and got no reply: their senders can't know whether they were taken.
    `greeting` replaces the 220 line (a 4yz or 5yz one turns every client away), `hang_up` closes each new connection at once;
    `hung` is set when a client has been left without an answer.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    users: dict[str, str] = field(default_factory=dict)
    mails: deque[ReceivedMail] = field(default_factory=lambda: deque(maxlen=_KEPT_MAILS))
    unanswered: deque[bytes] = field(default_factory=lambda: deque(maxlen=_KEPT_MAILS))
    everyone: Behaviour | None = None
    received: int = 0
    connections: int = 0
    transactions: int = 0
    greeting: str = ""
    hang_up: bool = False
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "SIZE 26214400")
    _once: dict[str, deque[Behaviour]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Behaviour] = field(default_factory=dict)
    _unread: deque[ReceivedMail] = field(default_factory=lambda: deque(maxlen=_KEPT_MAILS))
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[Session] = field(default_factory=set)
    _listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens; `port` then is where."""
        self._listener = await asyncio.get_running_loop().create_server(lambda: Session(self), self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and closes every connection; starting again keeps the port and the mails."""
        if self._listener is not None:
            self._listener.close()
            self.close_connections()
            await self._listener.wait_closed()
            self._listener = None

    def close_connections(self) -> None:
        """Closes every connection without a word."""
        for session in list(self._open):
            session.abort()

    def script(self, recipient: str, *behaviours: Behaviour) -> None:
        """Behaviours for the next transactions with this recipient, one each; after them it is served again."""
        self._once[recipient].extend(behaviours)

    def script_always(self, recipient: str, behaviour: Behaviour) -> None:
        """A behaviour for every transaction with this recipient."""
        self._always[recipient] = behaviour

    async def next_message(self) -> ReceivedMail:
        """The oldest mail that this method has not returned yet; waits for one."""
        while not self._unread:
            self._arrived.clear()
            await self._arrived.wait()
        return self._unread.popleft()

    async def received_at_least(self, count: int) -> None:
        """Returns when so many mails have been accepted since the start."""
        while self.received < count:
            self._arrived.clear()
            await self._arrived.wait()

    def behaviour(self, recipient: str, stage: Stage) -> Behaviour | None:
        """What happens to the recipient at this stage; uses the script up."""
        queue = self._once.get(recipient)
        if queue and queue[0].stage is stage:
            return queue.popleft()
        always = self._always.get(recipient, self.everyone)
        return always if always is not None and always.stage is stage else None

    def add(self, session: Session) -> int:
        """A client has come; returns its number, from 1."""
        self._open.add(session)
        self.connections += 1
        return self.connections

    def discard(self, session: Session) -> None:
        """A client has gone."""
        self._open.discard(session)

    def count_transaction(self) -> None:
        """A MAIL command was seen."""
        self.transactions += 1

    def keep_unanswered(self, raw: bytes) -> None:
        """Records a mail whose sender gets no answer."""
        self.unanswered.append(raw)

    def keep(self, mail: ReceivedMail) -> int:
        """Records an accepted mail; returns how many there are now."""
        self.received += 1
        self.mails.append(mail)
        self._unread.append(mail)
        self._arrived.set()
        return self.received


@asynccontextmanager
async def open_smtp_server(
    *, port: int = 0, tls: ssl.SSLContext | None = None, users: dict[str, str] | None = None
) -> AsyncIterator[SmtpServer]:
    """A server on loopback for the length of the block. With `tls` it offers STARTTLS, with `users` it demands AUTH PLAIN."""
    server = SmtpServer(port=port, tls=tls, users=users or {})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
