"""What every command shares: the profile, the client, and how results and errors are shown."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import tomli_w
from rich.markup import escape
from rich.progress import Progress, ProgressColumn
from rich.table import Table

from clarion_client import Clarion, errors
from clarion_client import _values as v
from clarion_client.cli.harmless import HarmlessConsole, json_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE, EXIT_AUTH, EXIT_NOT_FOUND = 1, 2, 3, 4, 5
_ID_WIDTH, _ANY_WIDTH = 36, 10_000  # characters: a UUID; more than a table has that goes into a file or a pipe
_GOOD, _BAD = {"sent", "closed", "completed", "done", "requeued"}, {"failed", "expired", "open", "parked", "suspended"}


_MOST_NESTED = 100
_PAGE = 200  # the most that a page may have
# Texts are passed over as a whole; what is no JSON at all, json says.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)


class UsageProblem(Exception):
    """The command was given something that it can't use; the message says what and how to go on."""


def address_of_server(profile: str = "") -> str | None:
    """The address in the environment, else that of the profile; None for the client's own default."""
    return os.environ.get("CLARION_URL") or profiles().get(profile or session.profile or current_profile(), {}).get("url")


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for one that is nested deeper than any call takes, which Python gives up at."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if plain.count("[") + plain.count("{") > _MOST_NESTED:
        _check_depth(plain)
    return json.loads(text)


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > _MOST_NESTED:
            raise ValueError(f"it is nested more than {_MOST_NESTED} deep")


def open_client(url: str | None, key: str) -> Clarion:
    """A client of the server at the address. Raises UsageProblem for what is no address."""
    try:
        return Clarion(url, key)
    except ValueError as error:
        raise UsageProblem(str(error)) from None


class Session:
    """One run of the command line."""

    def __init__(self) -> None:
        self.as_json = False
        self.profile = ""
        self._client: Clarion | None = None

    @cached_property
    def out(self) -> HarmlessConsole:
        """What is written to standard output. It looks at the terminal when it is first used, not when this is imported."""
        # no emoji: a rule such as "preference:email:news" is to be read as it is
        return HarmlessConsole(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else _ANY_WIDTH)

    @cached_property
    def err(self) -> HarmlessConsole:
        """What is written to standard error."""
        return HarmlessConsole(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    @property
    def clarion(self) -> Clarion:
        """The client of the profile; the environment's CLARION_URL and CLARION_API_KEY come first."""
        if self._client is None:
            kept = profiles().get(self.profile or current_profile(), {})
            url = os.environ.get("CLARION_URL") or kept.get("url")
            key = os.environ.get("CLARION_API_KEY") or kept.get("api_key")
            if self.profile and not kept:
                raise UsageProblem(f"there is no profile {self.profile}; make it with: clarion login --profile {self.profile}")
            if not key:
                raise UsageProblem("no API key: run `clarion login`, or set CLARION_URL and CLARION_API_KEY")
            self._client = open_client(url, key)
        return self._client

    def close(self) -> None:
        """Closes the client."""
        if self._client is not None:
            self._client.close()

    def say(self, text: str) -> None:
        """A remark for a person; nothing where JSON is asked for."""
        if not self.as_json:
            self.out.print(text)

    def show(self, value: Any) -> None:
        """One object: JSON, or its set fields line by line."""
        data = v.encode(value)
        if self.as_json:
            self.json(data)
            return
        width = max((len(name) for name in data), default=0)
        for name, item in data.items():
            shown = json.dumps(item, ensure_ascii=False) if isinstance(item, (dict, list)) else str(item)
            self.out.print(f"[dim]{name:<{width}}[/dim]  {paint(shown)}")

    def rows(self, items: Iterable[Any], columns: Sequence[str], *, most: int = 0) -> int:
        """Objects as a table, or as one JSON object a line. At most `most`, 0 for all. Returns how many."""
        count = 0
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            # an id is there to be copied; the rest may be cut where the terminal is too narrow
            table.add_column(column, no_wrap=column == "id", min_width=_ID_WIDTH if column == "id" else None)
        for item in items:
            if most and count >= most:
                break
            count += 1
            data = v.encode(item)
            if self.as_json:
                self.json(data)
            else:
                table.add_row(*(paint(_cell(data.get(column))) for column in columns))
        if not self.as_json:
            self.out.print(table if count else "[dim]none[/dim]")
        return count

    def progress(self, *columns: ProgressColumn) -> Progress:
        """A bar for a person who looks on; nothing where JSON is asked for, or no one does."""
        return Progress(*columns, console=self.err, disable=self.as_json or not sys.stderr.isatty())

    def json(self, data: Any) -> None:
        """One line of JSON."""
        sys.stdout.write(json_text(data, ascii_only=not _holds_all(sys.stdout)) + "\n")
        sys.stdout.flush()

    def failure(self, error: Exception) -> int:
        """Shows an error with the next step; returns the exit code."""
        code, step = _next_step(error)
        if self.as_json:
            data: dict[str, Any] = {"error": str(getattr(error, "message", error)), "exit_code": code}
            if isinstance(error, errors.ClarionError):
                data |= {"reason": error.reason, "correlation_id": error.correlation_id}
                data["violations"] = [dataclasses.asdict(violation) for violation in error.violations]
            sys.stderr.write(json.dumps(data) + "\n")
            return code
        self.err.print(f"[red]error:[/red] {escape(str(getattr(error, 'message', error)))}")
        if isinstance(error, errors.ClarionError):
            for violation in error.violations[1:]:
                self.err.print(f"       {escape(violation.field)}: {escape(violation.description)}")
            if error.reason or error.correlation_id:
                self.err.print(f"[dim]       {error.reason} {error.correlation_id}[/dim]".rstrip())
        if step:
            self.err.print(f"       {escape(step)}")
        return code


_LISTED_BY = {
    "TEMPLATE_NOT_FOUND": "those that there are: clarion templates list",
    "USER_NOT_FOUND": "find a person by address: clarion users get ada@example.com",
    "NOTIFICATION_NOT_FOUND": "the newest ones: clarion notifications list",
    "DEAD_LETTER_NOT_FOUND": "those that wait: clarion dead-letters list",
    "WEBHOOK_ENDPOINT_NOT_FOUND": "those that there are: clarion webhooks list",
}


def _next_step(error: Exception) -> tuple[int, str]:
    if isinstance(error, UsageProblem):
        return EXIT_USAGE, ""
    if isinstance(error, errors.Unauthenticated):
        return EXIT_AUTH, "sign in with: clarion login"
    if isinstance(error, errors.PermissionDenied):
        return EXIT_AUTH, "the key lacks a scope; a key that has it is made by a holder of apikeys:write"
    if isinstance(error, errors.NotFound):
        return EXIT_NOT_FOUND, _LISTED_BY.get(error.reason, "")
    if isinstance(error, errors.RateLimited):
        return EXIT_REFUSED, f"there is quota again in {error.retry_after_s or 1:g} s"
    if isinstance(error, (errors.ConnectionFailed, errors.Timeout, errors.Unavailable, errors.BadResponse)):
        return EXIT_UNREACHABLE, "see what is reachable with: clarion doctor"
    return EXIT_REFUSED, _LISTED_BY.get(getattr(error, "reason", ""), "")


def _holds_all(stream: TextIO) -> bool:
    """Whether every text can be written to it, which the machine's locale decides."""
    return (stream.encoding or "").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def paint(text: str, width: int = 0) -> str:
    """Statuses in colour; everything else as it is. At least so many characters wide."""
    word, shown = text.lower(), escape(text.ljust(width))
    colour = "green" if word in _GOOD else "red" if word in _BAD else ""
    return f"[{colour}]{shown}[/{colour}]" if colour else shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def page_of(most: int) -> int:
    """How many entries to ask for at a time, where at most so many are wanted; 0 for all."""
    return min(most, _PAGE) or _PAGE


def when(text: str) -> datetime:
    """A time as people type it: RFC 3339, or a date or time without a zone, which is taken as UTC. Raises UsageProblem."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageProblem(f"{text!r} is no time; write 2030-01-31T09:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """`name=value` options as a mapping. Raises UsageProblem."""
    split = [one.partition("=") for one in given]
    for name, separator, _ in split:
        if not separator or not name:
            raise UsageProblem(f"{option} {name}: write it as name=value")
    return {name: value for name, _, value in split}


def config_file() -> Path:
    """Where profiles are kept: CLARION_CONFIG, else below XDG_CONFIG_HOME."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(os.environ.get("CLARION_CONFIG") or Path(base) / "clarion" / "config.toml")


def profiles() -> Mapping[str, Mapping[str, str]]:
    """The profiles of the config file. Raises UsageProblem for a file that can't be read or is none of ours."""
    found: Mapping[str, Mapping[str, str]] = _config().get("profiles", {})
    return found


def current_profile() -> str:
    """The profile that is used when none is named."""
    return str(os.environ.get("CLARION_PROFILE") or _config().get("current", "default"))


def keep_profile(name: str, values: Mapping[str, str], *, current: bool) -> Path:
    """Writes a profile, readable by its owner only."""
    config = dict(_config())
    config["profiles"] = {**config.get("profiles", {}), name: dict(values)}
    if current or "current" not in config:
        config["current"] = name
    path = config_file()
    try:
        # of a link, what it leads to
        _replace(path.resolve(), tomli_w.dumps(config))
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}; CLARION_CONFIG names another file") from None
    return path


def _replace(path: Path, text: str) -> None:
    """Another run reads the file as it was or as it is now, and who ends this one loses no profile. It is never readable by others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _config() -> Mapping[str, Any]:
    path = config_file()
    try:
        loaded: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}; CLARION_CONFIG names another file") from None
    except ValueError:
        raise UsageProblem(f"{path} is no TOML; mend or delete it") from None
    _check_config(path, loaded)
    return loaded


def _check_config(path: Path, loaded: Mapping[str, Any]) -> None:
    """Raises UsageProblem for what `keep_profile` does not write."""
    kept = loaded.get("profiles", {})
    if not isinstance(kept, dict) or not isinstance(loaded.get("current", ""), str):
        raise UsageProblem(f"{path} holds no profiles as clarion writes them; mend or delete it")
    for name, values in kept.items():
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise UsageProblem(f"{path}: the profile {name} must hold texts, url and api_key; mend it, or keep it anew with: clarion login")


session = Session()
