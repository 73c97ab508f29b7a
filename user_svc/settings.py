"""What user_svc reads from the environment."""

import re
from dataclasses import dataclass, field
from typing import Self

from mesh.errors import InvalidArgument
from mesh.process.settings import CommonSettings, Env, SealingSettings
from mesh.rpc.settings import GrpcSettings
from mesh.stores.settings import CacheSettings, DatabaseSettings
from naming.email_address import check_email
from user_svc.auth.password_rules import MIN_PASSWORD_LENGTH, check_password
from user_svc.sign_in.settings import OidcSettings, is_safe_url


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """What is created at the first start when it is missing. Empty values create nothing."""

    admin_email: str
    admin_password: str = field(repr=False)
    api_key: str = field(repr=False)

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """An administrator needs an address and a password; an API key is given in full."""
        email = env.text("CLARION_ADMIN_EMAIL", "")
        password = env.secret("CLARION_ADMIN_PASSWORD", "", min_length=MIN_PASSWORD_LENGTH)
        api_key = env.secret("CLARION_BOOTSTRAP_API_KEY", "")
        if bool(email) != bool(password):
            env.problems.append("CLARION_ADMIN_EMAIL, CLARION_ADMIN_PASSWORD: must be given together")
        try:
            if email:
                check_email("CLARION_ADMIN_EMAIL", email)
            if len(password) >= MIN_PASSWORD_LENGTH:
                check_password("CLARION_ADMIN_PASSWORD", password, known_words=(email,))
        except InvalidArgument as error:
            env.problems.append(error.message)
        if api_key and not re.fullmatch(r"clk_live_[A-Za-z0-9_-]{32,}", api_key):
            env.problems.append("CLARION_BOOTSTRAP_API_KEY: must be clk_live_ and at least 32 letters, digits, '_' or '-'")
        return cls(email, password, api_key)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of user_svc."""

    common: CommonSettings
    grpc: GrpcSettings
    database: DatabaseSettings
    cache: CacheSettings | None
    direct_callers: bool
    bootstrap: BootstrapSettings
    sealing: SealingSettings
    oidc: OidcSettings = field(default_factory=OidcSettings)
    audit_retention_days: int = 400
    console_url: str = ""
    admin_second_factor: bool = False
    bounce_suppression_days: int = 0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Problems are collected in `env`."""
        common = CommonSettings.from_env(env, metrics_port=9101)
        return cls(
            common=common,
            grpc=GrpcSettings.from_env(env, port=8001),
            database=DatabaseSettings.from_env(env),
            cache=CacheSettings.optional_from_env(env),
            direct_callers=env.flag("CLARION_DIRECT_CALLERS", False),
            bootstrap=BootstrapSettings.from_env(env),
            sealing=SealingSettings.from_env(env, common),
            oidc=OidcSettings.from_env(env),
            # the table itself keeps each entry for 30 days
            audit_retention_days=env.integer("CLARION_AUDIT_RETENTION_DAYS", 400, minimum=31, maximum=3650),
            console_url=_console_url(env),
            admin_second_factor=env.flag("CLARION_ADMIN_SECOND_FACTOR", False),
            bounce_suppression_days=env.integer("CLARION_BOUNCE_SUPPRESSION_DAYS", 0, minimum=0, maximum=3650),
        )


def _console_url(env: Env) -> str:
    url = env.text("CLARION_CONSOLE_URL", "")
    if url and not (is_safe_url(url) and url.endswith("/console/")):
        env.problems.append("CLARION_CONSOLE_URL: must be the console's public address, such as https://clarion.example.com/console/")
    return url
