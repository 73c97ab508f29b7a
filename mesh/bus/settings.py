"""Settings of the message bus."""

from dataclasses import dataclass, field
from typing import Self

from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """RabbitMQ. `delay_scale` shrinks the delays of delay queues (tests only)."""

    url: str = field(repr=False)
    publish_timeout_s: float = 5.0
    delay_scale: float = 1.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads the shared broker."""
        return cls(
            url=env.url("CLARION_AMQP_URL", schemes=("amqp", "amqps")),
            publish_timeout_s=env.number("CLARION_PUBLISH_TIMEOUT_S", 5.0, minimum=0.1),
        )
