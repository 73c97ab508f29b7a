"""What push_worker reads from its environment."""

from dataclasses import dataclass
from typing import Self

from delivery.lanes import RETRY_DELAYS_S
from delivery.settings import LedgerSettings, retries_from_env
from delivery.worker import WorkerSettings
from mesh.bus.settings import BrokerSettings
from mesh.process.settings import CommonSettings, Env
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings
from peers.settings import PeerSettings


@dataclass(frozen=True, slots=True)
class FcmSettings:
    """The Firebase project that pushes are handed to. Times in seconds."""

    credentials_file: str
    project_id: str = ""
    endpoint: str = "https://fcm.googleapis.com"
    ca_file: str = ""
    concurrency: int = 64
    # FCM asks for at least 10
    timeout_s: float = 15.0
    connect_timeout_s: float = 10.0
    rate_per_s: float = 0.0
    # Of a template's messages in ten minutes; beyond it no device is removed.
    prune_share: float = 0.1
    retries_s: tuple[float, ...] = RETRY_DELAYS_S

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """`project_id` is the service account's own when it is empty; endpoint and CA file are for a local server."""
        return cls(
            credentials_file=env.text("CLARION_FCM_CREDENTIALS_FILE"),
            project_id=env.text("CLARION_FCM_PROJECT_ID", ""),
            endpoint=env.url("CLARION_FCM_ENDPOINT", "https://fcm.googleapis.com", schemes=("https", "http")).rstrip("/"),
            ca_file=env.text("CLARION_FCM_CA_FILE", ""),
            concurrency=env.integer("CLARION_FCM_CONCURRENCY", 64, minimum=1, maximum=1000),
            timeout_s=env.number("CLARION_FCM_TIMEOUT_S", 15.0, minimum=0.1),
            connect_timeout_s=env.number("CLARION_FCM_CONNECT_TIMEOUT_S", 10.0, minimum=0.1),
            rate_per_s=env.number("CLARION_FCM_RATE_PER_S", 0.0, maximum=1_000_000),
            prune_share=env.number("CLARION_FCM_PRUNE_SHARE", 0.1, maximum=1.0),
            retries_s=retries_from_env(env, "CLARION_PUSH_RETRIES"),
        )


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
    fcm: FcmSettings

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Reads every variable; the caller checks `env` for problems."""
        return cls(
            common=CommonSettings.from_env(env, metrics_port=9104),
            grpc=GrpcSettings.from_env(env, port=8004),
            broker=BrokerSettings.from_env(env),
            cache=CacheSettings.from_env(env),
            ledger=LedgerSettings.from_env(env),
            peers=PeerSettings.from_env(env),
            worker=WorkerSettings.from_env(env),
            fcm=FcmSettings.from_env(env),
        )
