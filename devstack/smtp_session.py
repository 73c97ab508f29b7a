"""One SMTP connection of the local server, and the ways in which it can be scripted to misbehave."""

import asyncio
import base64
import email
import email.policy
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from typing import Protocol, cast

_MAX_LINE = 4096


class Stage(StrEnum):
    """When a scripted behaviour strikes."""

    RCPT = "rcpt"
    DATA = "data"
    """After the final dot: the mail was received, the client does not know yet."""


class Action(StrEnum):
    """What a scripted behaviour does."""

    REPLY = "reply"
    SLOW = "slow"
    HANG = "hang"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One misbehaviour. `reply` is a whole reply line such as `451 4.7.1 Try later`. A surrogate U+DCxx in it is sent as the byte xx.

    A slow server accepts the mail and says so `delay_s` later.
    """

    action: Action
    stage: Stage
    reply: str = ""
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that was accepted with 250."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    tls: bool
    connection: int

    @property
    def message(self) -> EmailMessage:
        """The mail as the standard library reads it."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)


class SessionHost(Protocol):
    """What a session asks of the server that it belongs to."""

    tls: ssl.SSLContext | None
    users: dict[str, str]
    greeting: str
    hang_up: bool
    extensions: tuple[str, ...]
    hung: asyncio.Event

    def add(self, session: "Session") -> int:
        """A client has come; returns its number, from 1."""

    def discard(self, session: "Session") -> None:
        """A client has gone."""

    def count_transaction(self) -> None:
        """A MAIL command was seen."""

    def behaviour(self, recipient: str, stage: Stage) -> Behaviour | None:
        """What happens to the recipient at this stage; uses the script up."""

    def keep_unanswered(self, raw: bytes) -> None:
        """Records a mail whose sender gets no answer."""

    def keep(self, mail: ReceivedMail) -> int:
        """Records an accepted mail; returns how many there are now."""


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: SessionHost) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._in_data = self._silent = self._secure = False
        self._authenticated = not server.users
        self._upgrade: asyncio.Task[None] | None = None
        self._number = 0
        self._sender = ""
        self._recipients: list[str] = []
        self._handlers: dict[str, Callable[[str], None]] = {
            "EHLO": self._ehlo, "HELO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "MAIL": self._mail,
            "RCPT": self._rcpt, "DATA": self._data, "RSET": self._rset, "NOOP": self._noop, "QUIT": self._quit,
        }  # fmt: skip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._number = self._server.add(self)
        if self._server.hang_up:
            self.abort()
        else:
            self._reply(self._server.greeting or "220 localhost Clarion development server")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the base class's signature
        self._server.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._silent and self._transport is not None and not self._transport.is_closing():
            if not (self._take_mail() if self._in_data else self._take_line()):
                return

    def abort(self) -> None:
        """Closes without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                self._reply("500 5.5.6 Line too long")
                self.abort()
            return False
        line = bytes(self._buffer[:end]).decode("utf-8", "replace").strip()
        del self._buffer[: end + 1]
        verb, _, argument = line.partition(" ")
        self._command(verb.upper(), argument)
        return True

    def _command(self, verb: str, argument: str) -> None:
        handler = self._handlers.get(verb)
        if handler is None:
            self._reply("502 5.5.2 Command not implemented")
        elif verb == "MAIL" and not self._authenticated:
            self._reply("530 5.7.0 Authentication required")
        else:
            handler(argument)

    def _ehlo(self, argument: str) -> None:
        extensions = [*self._server.extensions]
        if self._server.tls is not None and not self._secure:
            extensions.append("STARTTLS")
        if self._server.users:
            extensions.append("AUTH PLAIN")
        lines = [f"localhost greets {argument or 'you'}", *extensions]
        self._reply("\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]))

    def _starttls(self, argument: str) -> None:  # noqa: ARG002  every command has the same signature
        if self._server.tls is None or self._secure:
            self._reply("502 5.5.1 TLS is not available")
            return
        self._reply("220 2.0.0 Ready to start TLS")
        self._buffer.clear()
        # what the client sends over TLS waits until the new transport is here to answer through
        self._silent = True
        self._upgrade = asyncio.create_task(self._start_tls(self._server.tls), name="smtp-starttls")

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        try:
            self._transport = await asyncio.get_running_loop().start_tls(self._transport, self, context, server_side=True)
        except OSError:
            self.abort()  # the client did not like the certificate, and reports that to its own user
            return
        self._secure, self._silent = True, False
        self.data_received(b"")

    def _auth(self, argument: str) -> None:
        method, _, encoded = argument.partition(" ")
        try:
            _, user, password = base64.b64decode(encoded).decode().split("\0")
        except ValueError:
            self._reply("501 5.5.2 Can't read that")
            return
        self._authenticated = method.upper() == "PLAIN" and self._server.users.get(user) == password
        self._reply("235 2.7.0 Welcome" if self._authenticated else "535 5.7.8 Wrong user or password")

    def _mail(self, argument: str) -> None:
        self._sender, self._recipients = _path(argument), []
        self._server.count_transaction()
        self._reply("250 2.1.0 OK")

    def _rcpt(self, argument: str) -> None:
        recipient = _path(argument)
        behaviour = self._server.behaviour(recipient, Stage.RCPT)
        if behaviour is None:
            self._recipients.append(recipient)
            self._reply("250 2.1.5 OK")
        else:
            self._behave(behaviour)

    def _data(self, argument: str) -> None:  # noqa: ARG002  every command has the same signature
        if not self._recipients:
            self._reply("503 5.5.1 No recipient")
            return
        self._in_data = True
        self._reply("354 Go ahead")

    def _take_mail(self) -> bool:
        # the dot may stand right behind the line end of DATA itself
        end = -2 if self._buffer.startswith(b".\r\n") else self._buffer.find(b"\r\n.\r\n")
        if end == -1:
            return False
        data = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 5]
        self._in_data = False
        delay_s = 0.0
        for recipient in self._recipients:
            behaviour = self._server.behaviour(recipient, Stage.DATA)
            if behaviour is not None and behaviour.action is Action.SLOW:
                delay_s = max(delay_s, behaviour.delay_s)
            elif behaviour is not None:
                if behaviour.action is not Action.REPLY:
                    self._server.keep_unanswered(data)
                self._behave(behaviour)
                return True
        if data.startswith(b"."):
            data = data[1:]
        mail = ReceivedMail(self._sender, tuple(self._recipients), data.replace(b"\r\n.", b"\r\n"), self._secure, self._number)
        self._recipients = []
        reply = f"250 2.0.0 OK queued as {self._server.keep(mail)}"
        if delay_s > 0:
            # a client speaks again only after the reply, so nothing overtakes it
            asyncio.get_running_loop().call_later(delay_s, self._reply, reply)
        else:
            self._reply(reply)
        return True

    def _rset(self, argument: str) -> None:  # noqa: ARG002  every command has the same signature
        self._recipients = []
        self._reply("250 2.0.0 OK")

    def _noop(self, argument: str) -> None:  # noqa: ARG002  every command has the same signature
        self._reply("250 2.0.0 OK")

    def _quit(self, argument: str) -> None:  # noqa: ARG002  every command has the same signature
        self._reply("221 2.0.0 Bye")
        if self._transport is not None:
            self._transport.close()

    def _behave(self, behaviour: Behaviour) -> None:
        if behaviour.action is Action.HANG:
            self._silent = True
            self._server.hung.set()
        elif behaviour.action is Action.DROP:
            self.abort()
        else:
            self._reply(behaviour.reply)
            if behaviour.reply.startswith("421") and self._transport is not None:
                self._transport.close()

    def _reply(self, line: str) -> None:
        if self._transport is not None:
            # a scripted reply may hold bytes that are not UTF-8, as Python spells them: \udce4 is the byte E4
            self._transport.write(f"{line}\r\n".encode("utf-8", "surrogateescape"))


def _path(argument: str) -> str:
    start, end = argument.find("<"), argument.rfind(">")
    return argument[start + 1 : end] if 0 <= start < end else argument.partition(":")[2].strip()
