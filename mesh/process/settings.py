"""Settings from the environment: read once, every problem reported at the same time."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from mesh.process.hosts import with_each_host

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?$")


class SettingsError(Exception):
    """Some variables are missing or wrong; `problems` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Env:
    """Reads typed variables and collects what is wrong with them.

    `names` holds every variable that was read, with its default as people read it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.names: dict[str, str] = {}

    def check(self) -> None:
        """Raises SettingsError when anything that was read is missing or wrong; then it names likely misspellings, too."""
        if self.problems:
            raise SettingsError([*self.problems, *(line for line in self.unread() if "did you mean" in line)])

    def unread(self) -> list[str]:
        """A line for each variable of Clarion's that is set and that no setting has asked for."""
        return unread(self._environ, self.names)

    def given(self, name: str) -> str:
        """What a variable holds, for deciding how it is to be read; empty where it is not set."""
        return self._environ.get(name, "").strip()

    def text(self, name: str, default: str | None = None, *, choices: Sequence[str] = ()) -> str:
        """Text. Without a default it is required."""
        raw = self._read(name, default)
        if choices and raw and raw not in choices:
            self.problems.append(f"{name}: must be one of {', '.join(choices)}")
        return raw

    def listed(self, name: str, *, choices: Collection[str] = ()) -> tuple[str, ...]:
        """The words between the commas of a variable that may be empty."""
        words = tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())
        unknown = [word for word in words if choices and word not in choices]
        if unknown:
            self.problems.append(f"{name}: {unknown[0]} is none of {', '.join(sorted(choices))}")
        return words

    def secret(self, name: str, default: str | None = None, *, min_length: int = 16) -> str:
        """Text whose value never appears in a message."""
        raw = self._read(name, default, shown="(development only)" if default else None)
        if raw and len(raw) < min_length:
            self.problems.append(f"{name}: must have at least {min_length} characters")
        return raw

    def integer(self, name: str, default: int | None = None, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """A whole number within bounds, both included."""
        raw = self._read(name, None if default is None else str(default))
        if not raw:
            return minimum
        if not re.fullmatch(r"-?\d{1,18}", raw) or not minimum <= int(raw) <= maximum:
            self.problems.append(f"{name}: must be a whole number from {minimum} to {maximum}")
            return minimum
        return int(raw)

    def number(self, name: str, default: float | None = None, *, minimum: float = 0.0, maximum: float = 1e9) -> float:
        """A number within bounds, both included; seconds where the name ends in _S."""
        raw = self._read(name, None if default is None else f"{default:g}")
        try:
            value = float(raw) if raw else minimum
        except ValueError:
            value = float("nan")
        if not minimum <= value <= maximum:
            self.problems.append(f"{name}: must be a number from {minimum:g} to {maximum:g}")
            return minimum
        return value

    def flag(self, name: str, default: bool) -> bool:
        """`true` or `false` (also 1, 0, yes, no, on, off)."""
        raw = self._read(name, "true" if default else "false").lower()
        if raw not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
            self.problems.append(f"{name}: must be true or false")
        return raw in {"true", "1", "yes", "on"}

    def url(
        self, name: str, default: str | None = None, *, schemes: Sequence[str], options: Mapping[str, Collection[str]] | None = None
    ) -> str:
        """A URL with one of the schemes, and one host or several. Its value is never repeated in a message: it may hold a password.

        `options` are those that it may have after the question mark, each with the values that it may have, which are any where none is
        listed; without them all are left to the client.
        """
        raw = self._read(name, default)
        try:
            each = [urlsplit(one) for one in with_each_host(raw)]
            valid = not raw or all(
                parts.scheme in schemes
                and bool(parts.hostname if len(each) > 1 else parts.netloc or parts.path)
                and (parts.port is None or parts.port > 0)
                and not (options is not None and parts.netloc.endswith(":"))
                for parts in each
            )
        except ValueError:
            valid = False
        if not valid:
            kinds = " or ".join(s + "://" for s in schemes)
            several = ", with a host, or several between commas, each with a port up to 65535 or none" if options is not None else ""
            self.problems.append(f"{name}: must be a URL that starts with {kinds}{several}")
        elif options is not None and raw:
            self._check_options(name, urlsplit(with_each_host(raw)[0]).query, options)
        return raw

    def _check_options(self, name: str, query: str, options: Mapping[str, Collection[str]]) -> None:
        for option, value in parse_qsl(query, keep_blank_values=True):
            if option not in options:
                self.problems.append(
                    f"{name}: takes no option {option[:40]!r} after the question mark; it takes {', '.join(sorted(options))}"
                )
            elif options[option] and value not in options[option]:
                self.problems.append(f"{name}: {option} must be one of {', '.join(options[option])}")

    def _read(self, name: str, default: str | None, *, shown: str | None = None) -> str:
        self.names[name] = shown if shown is not None else ("(required)" if default is None else default)
        raw = self.given(name)
        if raw:
            return raw
        if default is None:
            self.problems.append(f"{name}: is required")
            return ""
        return default


def unread(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line for each `CLARION_` variable of the environment that is not known, with the known one that is spelled most like it.

    Left out are those that Kubernetes makes for a Service whose name begins so, such as CLARION_GATEWAY_PORT_8000_TCP.
    """
    lines = []
    for name in sorted(environ):
        if name.startswith("CLARION_") and name not in known and not _OF_KUBERNETES.search(name):
            # 0.85 finds CLARION_SMPT_HOST, and does not take FCM_TIMEOUT_S for SMTP_TIMEOUT_S where processes share an environment.
            words = [other.removeprefix("CLARION_") for other in known]
            near = get_close_matches(name.removeprefix("CLARION_"), words, n=1, cutoff=0.85)
            lines.append(f"{name}: is not read here" + (f"; did you mean CLARION_{near[0]}?" if near else ""))
    return lines


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """What every process reads. `drain_s` and then `grace_s` are all the time that a stop takes."""

    host: str
    metrics_host: str
    metrics_port: int
    log_level: str
    log_format: str
    otlp_endpoint: str
    trace_ratio: float
    drain_s: float
    grace_s: float
    held_mib: int
    service_secret: str = field(repr=False)
    service_key: str = field(repr=False)
    service_public_keys: str
    metrics_projects: tuple[str, ...] = ()

    @property
    def door_grace_s(self) -> float:
        """The part of `grace_s` for calls in hand; the rest is for what stands behind them, which can only stop after them."""
        return self.grace_s * 0.6

    @classmethod
    def from_env(cls, env: Env, *, metrics_port: int) -> Self:
        """`metrics_port` is the process's own default; 0 means any free port.

        A service knows the others by its own key and everyone's public keys, or, in development, by one secret that all share.
        """
        key = env.secret("CLARION_SERVICE_KEY", "", min_length=43)
        public_keys = env.text("CLARION_SERVICE_PUBLIC_KEYS", "")
        if bool(key) != bool(public_keys):
            env.problems.append("CLARION_SERVICE_KEY, CLARION_SERVICE_PUBLIC_KEYS: must be given together")
        return cls(
            host=env.text("CLARION_HOST", "0.0.0.0"),
            # not the public address: a reader of the metrics knows how busy the system is, with what, and what is failing
            metrics_host=env.text("CLARION_METRICS_HOST", "127.0.0.1"),
            metrics_port=env.integer("CLARION_METRICS_PORT", metrics_port, maximum=65535),
            log_level=env.text("CLARION_LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")),
            log_format=env.text("CLARION_LOG_FORMAT", "json", choices=("json", "text")),
            otlp_endpoint=env.text("CLARION_OTLP_ENDPOINT", ""),
            trace_ratio=env.number("CLARION_TRACE_RATIO", 1.0, maximum=1.0),
            drain_s=env.number("CLARION_DRAIN_S", 0.0, maximum=300),
            grace_s=env.number("CLARION_GRACE_S", 10.0, maximum=300),
            held_mib=env.integer("CLARION_HELD_REQUESTS_MIB", 64, minimum=8, maximum=65536),
            service_secret=env.secret("CLARION_SERVICE_SECRET", "" if key else None, min_length=32),
            service_key=key,
            service_public_keys=public_keys,
            # named one by one: each is a series more for every other label
            metrics_projects=env.listed("CLARION_METRICS_PROJECTS"),
        )


@dataclass(frozen=True, slots=True)
class SealingSettings:
    """The secret under which a process keeps what only it may read, and the one before, where it is being replaced."""

    secret: str = field(repr=False)
    old: str = field(repr=False)

    @classmethod
    def from_env(cls, env: Env, common: CommonSettings, *, required: bool = True) -> Self:
        """Only in development does the mesh's secret stand in for it. Where it is not `required` it may be empty."""
        secret = env.secret("CLARION_SEALING_SECRET", None if common.service_key and required else "", min_length=32)
        return cls(secret or common.service_secret, env.secret("CLARION_SEALING_SECRET_OLD", "", min_length=32))
