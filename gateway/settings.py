"""What the gateway reads from the environment."""

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from delivery.settings import LedgerSettings
from gateway.accepting.limits import RateLimit
from gateway.facts.settings import BounceSettings, FactSettings
from gateway.http_limits import HttpLimits
from gateway.settling.stuck import SILENT_S
from gateway.webhooks.settings import EgressSettings
from mesh.bus.settings import BrokerSettings
from mesh.process.settings import CommonSettings, Env, SealingSettings
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings, DatabaseSettings
from peers.settings import PeerSettings

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """How much is let in."""

    caller: RateLimit
    recipient: RateLimit
    login: RateLimit

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """The defaults stop accidents, not campaigns."""
        return cls(
            caller=RateLimit(
                "caller",
                env.integer("CLARION_CALLER_LIMIT", 300_000, minimum=1, maximum=10_000_000),
                env.integer("CLARION_CALLER_WINDOW_S", 60, minimum=1, maximum=86_400),
            ),
            recipient=RateLimit(
                "recipient",
                env.integer("CLARION_RECIPIENT_LIMIT", 600, minimum=1, maximum=10_000_000),
                env.integer("CLARION_RECIPIENT_WINDOW_S", 60, minimum=1, maximum=86_400),
            ),
            login=RateLimit("login-address", env.integer("CLARION_LOGIN_ADDRESS_LIMIT", 100, minimum=1, maximum=10_000_000), 100),
        )


@dataclass(frozen=True, slots=True)
class AcceptSettings:
    """How accepted notifications are checked, dispatched and kept; times in seconds unless they say otherwise.

    `lane_depth` counts the envelopes that may wait in a normal lane's queue before the relay holds back. Of which no outcome came for
    `stuck_after_s` is published again. `bulk_in_flight` counts the items of one bulk stream that are accepted at the same time. What a
    notification said can be read for `content_retention` after its end, without it for as long as the notification is kept.
    """

    template_cache_s: float = 3.0
    user_cache_s: float = 60.0
    stale_cache_s: float = 600.0
    lease_s: float = 3.0
    sweep_s: float = 1.0
    lane_depth: int = 10
    retention_days: int = 180
    change_retention_days: int = 7
    content_retention: timedelta | None = None
    stuck_after_s: float = SILENT_S
    bulk_in_flight: int = 2000

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """The retention is longer than the 90 days that a notification may be scheduled ahead."""
        return cls(
            template_cache_s=env.number("CLARION_TEMPLATE_CACHE_S", 3.0, maximum=300),
            user_cache_s=env.number("CLARION_USER_CACHE_S", 60.0, maximum=3600),
            stale_cache_s=env.number("CLARION_STALE_CACHE_S", 600.0, maximum=86_400),
            lease_s=env.number("CLARION_DISPATCH_LEASE_S", 3.0, minimum=1, maximum=60),
            sweep_s=env.number("CLARION_SWEEP_S", 1.0, minimum=0.05, maximum=60),
            lane_depth=env.integer("CLARION_LANE_DEPTH", 10, minimum=4, maximum=100_000),
            retention_days=env.integer("CLARION_RETENTION_DAYS", 180, minimum=100, maximum=3650),
            change_retention_days=env.integer("CLARION_CHANGE_RETENTION_DAYS", 7, minimum=1, maximum=90),
            content_retention=timedelta(days=days) if (days := env.integer("CLARION_CONTENT_RETENTION_DAYS", 0, maximum=3650)) else None,
            bulk_in_flight=env.integer("CLARION_BULK_IN_FLIGHT", 2000, minimum=1, maximum=100_000),
            stuck_after_s=env.number("CLARION_STUCK_AFTER_S", SILENT_S, minimum=5, maximum=86_400),
        )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The REST edge's port. With `reuse_port` several gateway processes may share it, and the kernel deals out the connections.

    Pages of the `cors_origins` may call the API from a browser. The X-Forwarded-For of `trusted_proxies`, addresses and
    networks, is believed.
    """

    host: str
    port: int
    reuse_port: bool = False
    limits: HttpLimits = field(default_factory=HttpLimits)
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Port 0 means any free one."""
        origins = env.listed("CLARION_CORS_ORIGINS")
        if any(origin != "*" and not _ORIGIN.fullmatch(origin) for origin in origins):
            env.problems.append(
                "CLARION_CORS_ORIGINS: must be origins as browsers send them, separated by commas, such as https://app.example.com "
                "(scheme, host in lower case, port if it is not the usual one, no path), or * for every origin"
            )
        proxies = env.listed("CLARION_TRUSTED_PROXIES")
        if not all(map(_is_network, proxies)):
            env.problems.append("CLARION_TRUSTED_PROXIES: must be IP addresses or networks, separated by commas, such as 10.0.0.0/8")
        return cls(
            host=env.text("CLARION_HOST", "0.0.0.0"),
            port=env.integer("CLARION_HTTP_PORT", 8000, maximum=65535),
            reuse_port=env.flag("CLARION_HTTP_REUSE_PORT", False),
            limits=HttpLimits.from_env(env),
            cors_origins=origins,
            trusted_proxies=proxies,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the gateway."""

    common: CommonSettings
    sealing: SealingSettings
    grpc: GrpcSettings
    http: HttpSettings
    database: DatabaseSettings
    cache: CacheSettings
    ledger: LedgerSettings
    broker: BrokerSettings
    peers: PeerSettings
    admission: AdmissionSettings
    accept: AcceptSettings
    egress: EgressSettings = field(default_factory=EgressSettings)
    facts: FactSettings = field(default_factory=FactSettings)
    bounces: BounceSettings = field(default_factory=BounceSettings)

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`."""
        common = CommonSettings.from_env(env, metrics_port=9100)
        return cls(
            common=common,
            sealing=SealingSettings.from_env(env, common),
            grpc=GrpcSettings.from_env(env, port=9000),
            http=HttpSettings.from_env(env),
            database=DatabaseSettings.from_env(env),
            cache=CacheSettings.from_env(env),
            ledger=LedgerSettings.from_env(env),
            broker=BrokerSettings.from_env(env),
            peers=PeerSettings.from_env(env),
            admission=AdmissionSettings.from_env(env),
            accept=AcceptSettings.from_env(env),
            egress=EgressSettings.from_env(env),
            facts=FactSettings.from_env(env),
            bounces=BounceSettings.from_env(env),
        )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
