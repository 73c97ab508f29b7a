"""What email_worker reads from its environment."""

from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Self

from mesh.settings import BrokerSettings, CacheSettings, CommonSettings, Env, GrpcSettings, PeerSettings
from mesh.worker import WorkerSettings

_DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The SMTP server that mails are handed to. Times in seconds."""

    host: str
    port: int
    sender: str
    tls: str = "starttls"
    ca_file: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    message_id_domain: str = ""
    helo: str = "localhost"
    pool_size: int = 16
    max_messages: int = 100
    idle_s: float = 30.0
    check_after_s: float = 5.0
    connect_timeout_s: float = 15.0
    timeout_s: float = 60.0
    # RFC 5321 asks for 10 minutes here, since a reply that is lost after the final dot means a mail that may be sent twice
    data_timeout_s: float = 300.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """STARTTLS is required unless CLARION_SMTP_TLS says `tls` (from the first byte) or `none` (development only)."""
        tls = env.text("CLARION_SMTP_TLS", "starttls", choices=tuple(_DEFAULT_PORTS))
        sender = env.text("CLARION_SMTP_FROM")
        if sender and "@" not in parseaddr(sender)[1]:
            env.problems.append("CLARION_SMTP_FROM: must be an address such as no-reply@example.com or Example <no-reply@example.com>")
        user, password = env.text("CLARION_SMTP_USER", ""), env.secret("CLARION_SMTP_PASSWORD", "", min_length=1)
        if bool(user) != bool(password):
            env.problems.append("CLARION_SMTP_USER, CLARION_SMTP_PASSWORD: must be given together")
        return cls(
            host=env.text("CLARION_SMTP_HOST"),
            port=env.integer("CLARION_SMTP_PORT", _DEFAULT_PORTS.get(tls, 587), minimum=1, maximum=65535),
            sender=sender,
            tls=tls,
            ca_file=env.text("CLARION_SMTP_CA_FILE", ""),
            user=user,
            password=password,
            message_id_domain=env.text("CLARION_SMTP_MESSAGE_ID_DOMAIN", ""),
            helo=env.text("CLARION_SMTP_HELO", "localhost"),
            pool_size=env.integer("CLARION_SMTP_POOL_SIZE", 16, minimum=1, maximum=500),
            max_messages=env.integer("CLARION_SMTP_MAX_MESSAGES", 100, minimum=1),
            idle_s=env.number("CLARION_SMTP_IDLE_S", 30.0, minimum=1),
            connect_timeout_s=env.number("CLARION_SMTP_CONNECT_TIMEOUT_S", 15.0, minimum=0.1),
            timeout_s=env.number("CLARION_SMTP_TIMEOUT_S", 60.0, minimum=0.1),
            data_timeout_s=env.number("CLARION_SMTP_DATA_TIMEOUT_S", 300.0, minimum=0.1),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole process."""

    common: CommonSettings
    grpc: GrpcSettings
    broker: BrokerSettings
    cache: CacheSettings
    peers: PeerSettings
    worker: WorkerSettings
    smtp: SmtpSettings

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads every variable; the caller checks `env` for problems."""
        return cls(
            common=CommonSettings.from_env(env, metrics_port=9103),
            grpc=GrpcSettings.from_env(env, port=8003),
            broker=BrokerSettings.from_env(env),
            cache=CacheSettings.from_env(env),
            peers=PeerSettings.from_env(env),
            worker=WorkerSettings.from_env(env),
            smtp=SmtpSettings.from_env(env),
        )
