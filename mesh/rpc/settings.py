"""Settings of gRPC servers and channels."""

from dataclasses import dataclass, field
from typing import Self

from mesh.process.settings import Env


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many calls and streams a process has in hand, and how long a stream may last, in seconds.

    `uploads` are the streams that take requests, each of which may hold a message of the largest size. `stream_recheck_s` is how often the
    credential of an open stream is proved again, `message_s` how long a call's message may take to arrive.
    """

    calls: int = 1000
    streams: int = 1000
    streams_per_caller: int = 50
    uploads: int = 32
    stream_age_s: float = 300.0
    stream_recheck_s: float = 2.0
    message_s: float = 10.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """The default age is below the age at which a connection is closed for good, so that a stream ends with a status."""
        return cls(
            calls=env.integer("CLARION_MAX_CONCURRENT_RPCS", 1000, minimum=1),
            streams=env.integer("CLARION_STREAMS", 1000, minimum=1),
            streams_per_caller=env.integer("CLARION_STREAMS_PER_CALLER", 50, minimum=1),
            stream_age_s=env.number("CLARION_STREAM_AGE_S", 300, minimum=1, maximum=86_400),
            stream_recheck_s=env.number("CLARION_STREAM_RECHECK_S", 2, minimum=0.1, maximum=300),
        )


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """The gRPC server of a process. `connections` bounds all clients together, `streams_per_connection` each of them."""

    host: str
    port: int
    reflection: bool
    max_connection_age_s: int
    tls_cert_file: str
    tls_key_file: str
    tls_client_ca_file: str
    connections: int = 4000
    streams_per_connection: int = 2000
    limits: CallLimits = field(default_factory=CallLimits)

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
            reflection=env.flag("CLARION_REFLECTION", False),
            max_connection_age_s=env.integer("CLARION_MAX_CONNECTION_AGE_S", 300, minimum=1),
            tls_cert_file=cert,
            tls_key_file=key,
            tls_client_ca_file=env.text("CLARION_TLS_CLIENT_CA_FILE", ""),
            connections=env.integer("CLARION_GRPC_CONNECTIONS", 4000, minimum=1, maximum=1_000_000),
            streams_per_connection=env.integer("CLARION_GRPC_STREAMS_PER_CONNECTION", 2000, minimum=1, maximum=10_000),
            limits=CallLimits.from_env(env),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """TLS files, which are read again every `renew_s`, and the circuit breaker of a process's gRPC channels. Times in seconds."""

    ca_file: str
    cert_file: str
    key_file: str
    breaker_failures: int
    breaker_open_s: float
    renew_s: float = 10.0
