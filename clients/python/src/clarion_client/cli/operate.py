"""`clarion login`, `profiles`, `breakers` and `doctor`."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Annotated

import httpx
import typer

from clarion_client import ClarionError, __version__, errors
from clarion_client.cli.providers import check_fcm, check_smtp
from clarion_client.cli.session import (
    EXIT_UNREACHABLE,
    UsageProblem,
    config_file,
    current_profile,
    keep_profile,
    open_client,
    profiles,
    session,
)
from clarion_client.cli.signing_in import ask_password, signed_in

breakers = typer.Typer(no_args_is_help=True, help="The circuit breakers toward providers.")
profiles_app = typer.Typer(no_args_is_help=True, help="Servers and keys that are kept.")
_SKEW_LIMIT_S = 60


def login(
    url: Annotated[str | None, typer.Option(help="The gateway's address.")] = None,
    api_key: Annotated[str | None, typer.Option(help="An API key; asked for when it is left out.")] = None,
    profile: Annotated[str, typer.Option(help="Under which name to keep them.")] = "",
    email: Annotated[str | None, typer.Option(help="Sign in as a person, whose key is made then: it may do what you may.")] = None,
    project: Annotated[str | None, typer.Option(help="The project that your account belongs to.")] = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="Days after which that key ends.")] = 30,
) -> None:
    """Keep the address of a server and an API key, after trying them."""
    address = url or os.environ.get("CLARION_URL") or typer.prompt("address", default="http://localhost:8000")
    if email:
        key = _key_of_person(address, email, project, days)
    else:
        key = api_key or os.environ.get("CLARION_API_KEY") or _ask_key()
    name = profile or session.profile or "default"
    with open_client(address, key) as clarion:
        try:
            next(iter(clarion.templates.list(page_size=1).pages()))
        except errors.PermissionDenied:
            pass  # the key is known; it only may not list templates
    path = keep_profile(name, {"url": address, "api_key": key}, current=True)
    session.say(f"kept as profile {name} in {path}")


def _key_of_person(address: str, email: str, project: str | None, days: int) -> str:
    with signed_in(address, email, project, ask_password()) as own:
        me = own.auth.get_me()
        if "apikeys:write" not in me.scopes:
            raise UsageProblem(
                "you may make no API keys, which the command line needs; where administrators need a second factor: clarion second-factor setup"
            )
        end = datetime.now(timezone.utc) + timedelta(days=days)
        made = own.auth.create_api_key(name=f"command line on {socket.gethostname()}"[:100], scopes=me.scopes, expire_time=end)
    return made.secret


def _ask_key() -> str:
    if not sys.stdin.isatty():
        raise UsageProblem("no API key: give --api-key or set CLARION_API_KEY")
    return getpass.getpass("API key: ")


@profiles_app.command("list")
def list_profiles() -> None:
    """List them; the key is not shown."""
    current = current_profile()
    session.rows(
        [{"name": name, "url": kept.get("url", ""), "current": "*" if name == current else ""} for name, kept in profiles().items()],
        ("name", "url", "current"),
    )


@profiles_app.command("use")
def use_profile(name: Annotated[str, typer.Argument()]) -> None:
    """Make one the current one."""
    kept = profiles().get(name)
    if kept is None:
        raise UsageProblem(f"there is no profile {name} in {config_file()}")
    keep_profile(name, kept, current=True)
    session.say(f"using {name}")


@breakers.command("list")
def list_breakers() -> None:
    """List them."""
    session.rows(session.clarion.breakers.list().breakers, ("name", "state", "failures", "retry_time", "force", "forced_by", "note"))


@breakers.command("force")
def force(
    name: Annotated[str, typer.Argument()],
    to: Annotated[str, typer.Argument(help="open, closed or auto, which releases it.")],
    minutes: Annotated[int | None, typer.Option("--for", help="Minutes after which it is released.")] = None,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Hold a breaker open or closed, or release it."""
    duration = timedelta(minutes=minutes) if minutes else None
    session.show(session.clarion.breakers.force(name, force=to, duration=duration, note=note))


def whoami() -> None:
    """Show what the credential stands for: who, in which project, with which scopes, until when."""
    session.show(session.clarion.auth.get_me())


def doctor(
    smtp: Annotated[bool, typer.Option("--smtp", help="Try the mail server of CLARION_SMTP_* instead; sends nothing.")] = False,
    fcm: Annotated[bool, typer.Option("--fcm", help="Look at the service account of CLARION_FCM_CREDENTIALS_FILE instead.")] = False,
    domain: Annotated[
        bool, typer.Option("--domain", help="Look up SPF, DKIM and DMARC of the domain in CLARION_SMTP_FROM instead.")
    ] = False,
    dkim_selector: Annotated[
        list[str] | None, typer.Option(help="With --domain: a selector that mails are signed with; may be repeated.")
    ] = None,
    dns: Annotated[str, typer.Option(help="With --domain: the DNS server to ask, as address or address:port.")] = "",
) -> int:
    """Try what can go wrong between here and Clarion: the address, the key, versions, clocks, the parts behind the gateway."""
    bad = 0

    def check(what: str, ok: bool, said: str, step: str = "") -> None:
        nonlocal bad
        bad += not ok
        if session.as_json:
            session.json({"check": what, "ok": ok, "detail": said, "next": "" if ok else step})
        else:
            session.out.print(
                f"{'[green]ok  [/green]' if ok else '[red]FAIL[/red]'} {what:<10} {said}"
                + ("" if ok or not step else f"\n                {step}")
            )

    if smtp:
        check_smtp(check)
    if fcm:
        check_fcm(check)
    if domain:
        # dnspython is for this alone, and takes longer to import than most commands take
        from clarion_client.cli.sender_domain import check_domain

        check_domain(check, dkim_selector or (), dns)
    if smtp or fcm or domain:
        return 1 if bad else 0
    kept = profiles().get(session.profile or current_profile(), {})
    url = (os.environ.get("CLARION_URL") or kept.get("url") or "http://localhost:8000").rstrip("/")
    check("client", True, f"clarion-client {__version__}, Python {sys.version.split()[0]}")
    try:
        began = time.monotonic()
        response = httpx.get(f"{url}/livez", timeout=5)
        check(
            "address", response.status_code == 200, f"{url} answered {response.status_code} in {(time.monotonic() - began) * 1000:.0f} ms"
        )
        ready = httpx.get(f"{url}/readyz", timeout=5)
        parts = ready.json() if ready.headers.get("content-type", "").startswith("application/json") else {}
        missing = [name for name, state in _parts(parts) if state not in {"ok", "up", True, "serving", "SERVING"}]
        check(
            "parts",
            ready.status_code == 200 and not missing,
            "all there" if not missing else f"missing: {', '.join(missing)}",
            "see docs/runbooks.md",
        )
        date = response.headers.get("date")
        if date:
            skew = abs((parsedate_to_datetime(date) - datetime.now(timezone.utc)).total_seconds())
            check("clock", skew < _SKEW_LIMIT_S, f"{skew:.0f} s from the server's", "let NTP set this machine's clock")
    except httpx.HTTPError as error:
        check("address", False, f"{url}: {error}", "is it right, and is Clarion running? (`clarion login` keeps another one)")
        return EXIT_UNREACHABLE
    try:
        next(iter(session.clarion.templates.list(page_size=1).pages()))
        check("key", True, "accepted")
    except errors.PermissionDenied:
        check("key", True, "accepted, without the scope templates:read")
    except (ClarionError, UsageProblem) as error:
        check("key", False, str(getattr(error, "message", error)), "sign in with: clarion login")
    return 1 if bad else 0


def _parts(body: object) -> list[tuple[str, object]]:
    checks = body.get("checks", {}) if isinstance(body, dict) else {}
    return list(checks.items()) if isinstance(checks, dict) else []
