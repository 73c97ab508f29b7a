"""What the process that posts webhooks reads from the environment, beside what every process reads."""

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

from gateway.webhooks.addresses import Network
from mesh.process.settings import CommonSettings, Env, SealingSettings
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import DatabaseSettings


@dataclass(frozen=True, slots=True)
class EgressSettings:
    """Where events may go beside public addresses, and for how long an endpoint is waited for."""

    allow: tuple[Network, ...] = ()
    timeout_s: float = 15.0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """`http://` is taken where anything is allowed that is not public: that is for development."""
        listed = env.listed("CLARION_WEBHOOK_ALLOW")
        try:
            allow = tuple(ip_network(each) for each in listed)
        except ValueError:
            allow = ()
            env.problems.append("CLARION_WEBHOOK_ALLOW: must be IP addresses or networks, separated by commas, such as 127.0.0.0/8")
        return cls(allow, env.number("CLARION_WEBHOOK_TIMEOUT_S", 15.0, minimum=1, maximum=60))


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole process."""

    common: CommonSettings
    sealing: SealingSettings
    grpc: GrpcSettings
    database: DatabaseSettings
    egress: EgressSettings

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`."""
        common = CommonSettings.from_env(env, metrics_port=9105)
        return cls(
            common=common,
            sealing=SealingSettings.from_env(env, common),
            grpc=GrpcSettings.from_env(env, port=8005),
            database=DatabaseSettings.from_env(env),
            egress=EgressSettings.from_env(env),
        )
