"""What template_svc reads from the environment."""

import ipaddress
from dataclasses import dataclass
from typing import Self

from mesh.process.settings import CommonSettings, Env, SealingSettings
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings, DatabaseSettings
from naming.email_address import domain_key
from peers.settings import PeerSettings
from template_svc.lint import RULES
from template_svc.models import Rules


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of template_svc. `render_limit_s` is the processor time that one rendering may take, `render_memory_mb` the
    memory beyond what a render process needs itself, `render_processes` how many of them serve sends.
    """

    common: CommonSettings
    grpc: GrpcSettings
    database: DatabaseSettings
    cache: CacheSettings | None
    direct_callers: bool
    peers: PeerSettings
    render_limit_s: float
    render_memory_mb: int
    render_processes: int
    rules: Rules
    sealing: SealingSettings
    dns_servers: tuple[tuple[str, int], ...]
    trusted_domains: frozenset[str]

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`."""
        common = CommonSettings.from_env(env, metrics_port=9102)
        return cls(
            common=common,
            grpc=GrpcSettings.from_env(env, port=8002),
            database=DatabaseSettings.from_env(env),
            cache=CacheSettings.optional_from_env(env),
            direct_callers=env.flag("CLARION_DIRECT_CALLERS", False),
            # Who calls is proven with user_svc's keys.
            peers=PeerSettings.from_env(env, template_svc=False),
            render_limit_s=env.number("CLARION_RENDER_LIMIT_S", 0.2, minimum=0.01, maximum=5),
            render_memory_mb=env.integer("CLARION_RENDER_MEMORY_MB", 96, minimum=32, maximum=4096),
            render_processes=env.integer("CLARION_RENDER_PROCESSES", 2, minimum=1, maximum=64),
            rules=Rules(
                complete_only=env.flag("CLARION_COMPLETE_LOCALES_ONLY", False),
                lint_errors=frozenset(env.listed("CLARION_LINT_ERRORS", choices=RULES)),
            ),
            # without it there are no sender domains, and everything else works as ever
            sealing=SealingSettings.from_env(env, common, required=False),
            dns_servers=_dns_servers(env),
            trusted_domains=_trusted_domains(env),
        )


def _dns_servers(env: Env) -> tuple[tuple[str, int], ...]:
    """Addresses, each with a port or without."""
    servers: list[tuple[str, int]] = []
    for text in env.listed("CLARION_DNS_SERVERS"):
        host, colon, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "")
        address = host.strip("[]")
        try:
            servers.append((str(ipaddress.ip_address(address)), int(port) if colon else 53))
        except ValueError:
            env.problems.append(f"CLARION_DNS_SERVERS: {text!r} is no IP address with or without a port, such as 10.0.0.10 or 10.0.0.10:53")
    return tuple(servers)


def _trusted_domains(env: Env) -> frozenset[str]:
    domains: set[str] = set()
    for text in env.listed("CLARION_TRUSTED_SENDER_DOMAINS"):
        domain = domain_key(text)
        if domain is None or "." not in domain:
            env.problems.append(f"CLARION_TRUSTED_SENDER_DOMAINS: {text!r} is no domain such as example.com")
        else:
            domains.add(domain)
    return frozenset(domains)
