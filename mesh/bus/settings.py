"""Settings of the message bus."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from mesh.process.hosts import with_each_host
from mesh.process.settings import Env

# What the client takes: it reads a number that is none as "never", and others not at all.
_OPTIONS: Mapping[str, Collection[str]] = {
    "heartbeat": (),
    "cafile": (),
    "capath": (),
    "cadata": (),
    "certfile": (),
    "keyfile": (),
    "no_verify_ssl": ("0", "1"),
    "auth": ("plain", "amqplain", "external"),
}


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """RabbitMQ. `delay_scale` shrinks the delays of delay queues (tests only)."""

    url: str = field(repr=False)
    publish_timeout_s: float = 5.0
    delay_scale: float = 1.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads the shared broker."""
        url = env.url("CLARION_AMQP_URL", schemes=("amqp", "amqps"), options=_OPTIONS)
        for option, value in parse_qsl(urlsplit(with_each_host(url)[0]).query) if url else ():
            if option == "heartbeat" and not re.fullmatch(r"[1-9]\d{0,2}", value):
                env.problems.append("CLARION_AMQP_URL: heartbeat must be a whole number of seconds from 1 to 999")
        return cls(
            url=url,
            publish_timeout_s=env.number("CLARION_PUBLISH_TIMEOUT_S", 5.0, minimum=0.1),
        )
