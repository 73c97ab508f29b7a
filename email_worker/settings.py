"""What email_worker reads from its environment."""

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self

from delivery.lanes import RETRY_DELAYS_S
from delivery.settings import LedgerSettings, retries_from_env
from delivery.worker import WorkerSettings
from email_worker.dkim import Signer
from mesh.bus.settings import BrokerSettings
from mesh.process.settings import CommonSettings, Env
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings
from naming.bounce_address import bounces_from_env
from peers.settings import PeerSettings

_DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SERVER_NAME = re.compile("[a-z][a-z0-9]{0,30}")
_MOST_SERVERS = 16


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One SMTP server that mails are handed to. Times in seconds; `weight` is its share beside other servers, `rate_per_s` 0 no limit."""

    host: str
    port: int
    name: str = "smtp"
    tls: str = "starttls"
    ca_file: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    helo: str = "localhost"
    pool_size: int = 16
    max_messages: int = 100
    idle_s: float = 30.0
    check_after_s: float = 5.0
    connect_timeout_s: float = 15.0
    timeout_s: float = 60.0
    # RFC 5321 asks for 10 minutes here, since a reply that is lost after the final dot means a mail that may be sent twice
    data_timeout_s: float = 300.0
    weight: float = 1.0
    rate_per_s: float = 0.0
    # the provider whose events name the notification (docs/bounces.md)
    events: str = ""
    # whether mails are signed here; not needed where the provider signs in the sender's domain
    dkim: bool = True

    @classmethod
    def from_env(cls, env: Env, name: str = "", shared: "SmtpSettings | None" = None) -> Self:
        """The only server, or the one called `name`, whose variables hold that name and default to those that all servers share.

        Host, port and credentials are each server's own. STARTTLS is required unless the variable for TLS says `tls` (from the first byte)
        or `none` (development only).
        """
        prefix = f"CLARION_SMTP_{name.upper()}_" if name else "CLARION_SMTP_"
        base = shared or cls(host="", port=0)
        tls = env.text(f"{prefix}TLS", base.tls, choices=tuple(_DEFAULT_PORTS))
        user, password = env.text(f"{prefix}USER", ""), env.secret(f"{prefix}PASSWORD", "", min_length=1)
        if bool(user) != bool(password):
            env.problems.append(f"{prefix}USER, {prefix}PASSWORD: must be given together")
        return cls(
            host=env.text(f"{prefix}HOST"),
            port=env.integer(f"{prefix}PORT", _DEFAULT_PORTS.get(tls, 587), minimum=1, maximum=65535),
            name=f"smtp.{name}" if name else "smtp",
            user=user,
            password=password,
            weight=env.number(f"{prefix}WEIGHT", 1.0, maximum=1000) if name else 1.0,
            **cls._shareable(env, prefix, base, tls),
        )

    @classmethod
    def shared_from_env(cls, env: Env) -> Self:
        """What holds for all servers that do not say otherwise; no host, no credentials."""
        base = cls(host="", port=0)
        tls = env.text("CLARION_SMTP_TLS", base.tls, choices=tuple(_DEFAULT_PORTS))
        return cls(host="", port=0, **cls._shareable(env, "CLARION_SMTP_", base, tls))

    @staticmethod
    def _shareable(env: Env, prefix: str, base: "SmtpSettings", tls: str) -> "dict[str, Any]":
        return {
            "tls": tls,
            "ca_file": env.text(f"{prefix}CA_FILE", base.ca_file),
            "helo": env.text(f"{prefix}HELO", base.helo),
            "dkim": env.flag(f"{prefix}DKIM", base.dkim),
            "pool_size": env.integer(f"{prefix}POOL_SIZE", base.pool_size, minimum=1, maximum=500),
            "max_messages": env.integer(f"{prefix}MAX_MESSAGES", base.max_messages, minimum=1),
            "idle_s": env.number(f"{prefix}IDLE_S", base.idle_s, minimum=1),
            "connect_timeout_s": env.number(f"{prefix}CONNECT_TIMEOUT_S", base.connect_timeout_s, minimum=0.1),
            "timeout_s": env.number(f"{prefix}TIMEOUT_S", base.timeout_s, minimum=0.1),
            "data_timeout_s": env.number(f"{prefix}DATA_TIMEOUT_S", base.data_timeout_s, minimum=0.1),
            "events": env.text(f"{prefix}EVENTS", base.events, choices=("sendgrid", "ses", "mailgun")),
            "rate_per_s": env.number(f"{prefix}RATE_PER_S", base.rate_per_s, maximum=100_000),
        }


# RFC 8058 asks for https; a machine of one's own may do without.
_UNSUBSCRIBE_URL = re.compile(r"(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:\d+)?(/[A-Za-z0-9._~/-]*)?")


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Who sends mails and through which servers. A server that comes back has its full share again after `ramp_s`."""

    sender: str
    servers: tuple[SmtpSettings, ...]
    message_id_domain: str = ""
    unsubscribe_url: str = ""
    # what signs mails from the installation's own sender
    own_key: Signer | None = None
    bounce_domain: str = ""
    bounce_secret: str = field(default="", repr=False)
    ramp_s: float = 60.0
    retries_s: tuple[float, ...] = RETRY_DELAYS_S

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Several servers where CLARION_SMTP_PROVIDERS names them, else the one of CLARION_SMTP_HOST."""
        sender = env.text("CLARION_SMTP_FROM")
        if sender and "@" not in parseaddr(sender)[1]:
            env.problems.append("CLARION_SMTP_FROM: must be an address such as no-reply@example.com or Example <no-reply@example.com>")
        names = env.listed("CLARION_SMTP_PROVIDERS")
        if len(names) > _MOST_SERVERS or len(set(names)) < len(names) or not all(_SERVER_NAME.fullmatch(name) for name in names):
            env.problems.append(
                f"CLARION_SMTP_PROVIDERS: must be up to {_MOST_SERVERS} different names of small letters and digits, such as primary,backup"
            )
            names = ()
        shared = SmtpSettings.shared_from_env(env) if names else None
        servers = tuple(SmtpSettings.from_env(env, name, shared) for name in names) if names else (SmtpSettings.from_env(env),)
        if not any(server.weight for server in servers):
            env.problems.append("CLARION_SMTP_PROVIDERS: one of them at least must have a weight above 0")
        unsubscribe_url = env.text("CLARION_UNSUBSCRIBE_URL", "").rstrip("/")
        if unsubscribe_url and not _UNSUBSCRIBE_URL.fullmatch(unsubscribe_url):
            env.problems.append(
                "CLARION_UNSUBSCRIBE_URL: must be the public https:// address of the gateway's page, "
                "such as https://notify.example.com/unsubscribe"
            )
        bounce_domain, bounce_secret = bounces_from_env(env)
        return cls(
            sender=sender,
            bounce_domain=bounce_domain,
            bounce_secret=bounce_secret,
            unsubscribe_url=unsubscribe_url,
            own_key=_own_key(env, sender),
            servers=servers,
            message_id_domain=env.text("CLARION_SMTP_MESSAGE_ID_DOMAIN", ""),
            ramp_s=env.number("CLARION_SMTP_RAMP_S", 60.0, maximum=3600),
            retries_s=retries_from_env(env, "CLARION_EMAIL_RETRIES"),
        )


def _own_key(env: Env, sender: str) -> Signer | None:
    path, selector = env.text("CLARION_DKIM_KEY_FILE", ""), env.text("CLARION_DKIM_SELECTOR", "")
    domain = env.text("CLARION_DKIM_DOMAIN", "") or parseaddr(sender)[1].rpartition("@")[2]
    if not path and not selector:
        return None
    if not path or not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})", selector):
        env.problems.append(
            "CLARION_DKIM_KEY_FILE, CLARION_DKIM_SELECTOR: must be given together; the selector is letters, digits, dots and hyphens"
        )
        return None
    try:
        return Signer.from_pem(domain, selector, Path(path).read_bytes())
    except (OSError, ValueError, TypeError):
        env.problems.append("CLARION_DKIM_KEY_FILE: must be a readable PEM file with an RSA key of 1024 bits or more, without a password")
        return None


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole process."""

    common: CommonSettings
    grpc: GrpcSettings
    broker: BrokerSettings
    cache: CacheSettings
    ledger: LedgerSettings
    peers: PeerSettings
    worker: WorkerSettings
    mail: MailSettings

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads every variable; the caller checks `env` for problems."""
        return cls(
            common=CommonSettings.from_env(env, metrics_port=9103),
            grpc=GrpcSettings.from_env(env, port=8003),
            broker=BrokerSettings.from_env(env),
            cache=CacheSettings.from_env(env),
            ledger=LedgerSettings.from_env(env),
            peers=PeerSettings.from_env(env),
            worker=WorkerSettings.from_env(env),
            mail=MailSettings.from_env(env),
        )
