"""Where the other services are."""

from dataclasses import dataclass
from typing import Self

from mesh.process.settings import Env
from mesh.rpc.settings import ChannelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings(ChannelSettings):
    """Where the other services are, as gRPC URIs."""

    user_svc: str
    template_svc: str

    @classmethod
    def from_env(cls, env: Env, *, user_svc: bool = True, template_svc: bool = True) -> Self:
        """Reads only the targets that the process calls."""
        return cls(
            user_svc=env.text("CLARION_USER_SVC_TARGET", "dns:///localhost:8001") if user_svc else "",
            template_svc=env.text("CLARION_TEMPLATE_SVC_TARGET", "dns:///localhost:8002") if template_svc else "",
            ca_file=env.text("CLARION_TLS_CA_FILE", ""),
            cert_file=env.text("CLARION_TLS_CLIENT_CERT_FILE", ""),
            key_file=env.text("CLARION_TLS_CLIENT_KEY_FILE", ""),
            breaker_failures=env.integer("CLARION_BREAKER_FAILURES", 5, minimum=1),
            breaker_open_s=env.number("CLARION_BREAKER_OPEN_S", 60.0, minimum=0.1),
        )
