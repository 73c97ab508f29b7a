"""Settings of gRPC servers and channels."""

from dataclasses import dataclass
from typing import Self

from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The gRPC server of a process."""

    host: str
    port: int
    reflection: bool
    max_concurrent_rpcs: int
    max_connection_age_s: int
    tls_cert_file: str
    tls_key_file: str
    tls_client_ca_file: str

    @classmethod
    def from_env(cls, env: Env, *, port: int) -> Self:
        """`port` is the process's own default; 0 means any free port."""
        cert = env.text("CLARION_TLS_CERT_FILE", "")
        key = env.text("CLARION_TLS_KEY_FILE", "")
        if bool(cert) != bool(key):
            env.problems.append("CLARION_TLS_CERT_FILE, CLARION_TLS_KEY_FILE: must be given together")
        return cls(
            host=env.text("CLARION_HOST", "0.0.0.0"),
            port=env.integer("CLARION_GRPC_PORT", port, maximum=65535),
            reflection=env.flag("CLARION_REFLECTION", True),
            max_concurrent_rpcs=env.integer("CLARION_MAX_CONCURRENT_RPCS", 1000, minimum=1),
            max_connection_age_s=env.integer("CLARION_MAX_CONNECTION_AGE_S", 300, minimum=1),
            tls_cert_file=cert,
            tls_key_file=key,
            tls_client_ca_file=env.text("CLARION_TLS_CLIENT_CA_FILE", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """TLS files and the circuit breaker of a process's gRPC channels. Times in seconds."""

    ca_file: str
    cert_file: str
    key_file: str
    breaker_failures: int
    breaker_open_s: float
