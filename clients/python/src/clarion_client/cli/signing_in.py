"""Signing in by password on the command line, and `clarion second-factor`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from clarion_client import Clarion, errors
from clarion_client.cli.session import UsageProblem, address_of_server, open_client, session
from clarion_client.cli.users import id_of
from clarion_client.models import LoginResponse

app = typer.Typer(no_args_is_help=True, help="Codes of an authenticator app, asked for beside a password.")


@contextmanager
def signed_in(url: str | None, email: str, project: str | None, password: str) -> Iterator[Clarion]:
    """The API as a person sees it; a code of their app is asked for where there is one. The session ends with the block."""
    with open_client(url, "") as stranger:
        tokens = _log_in(stranger, email, password, project)
        try:
            with open_client(url, tokens.access_token) as own:
                yield own
        finally:
            stranger.auth.logout(refresh_token=tokens.refresh_token)


def ask_password() -> str:
    """What a person types. Raises UsageProblem where no one can."""
    if not sys.stdin.isatty():
        raise UsageProblem("a password is typed in, so that it stands in no history of commands: use a terminal")
    return getpass.getpass("password: ")


@app.command("setup")
def setup(
    email: Annotated[str, typer.Argument(help="Your address.")],
    project: Annotated[str | None, typer.Option(help="The project that the account belongs to.")] = None,
    url: Annotated[str | None, typer.Option(help="The gateway's address; the profile's when it is left out.")] = None,
) -> None:
    """Set up your own, and show its secret and recovery codes, this once. Your other sessions end."""
    password = ask_password()
    with signed_in(url or address_of_server(), email, project, password) as own:
        begun = own.second_factors.begin_second_factor(current_password=password)
        session.say("put this into your authenticator app:")
        session.show(begun)
        confirmed = own.second_factors.confirm_second_factor(code=typer.prompt("code of the app"))
    session.say("from now on a code is asked for at each sign-in. Keep these where the phone is not; each stands in for a code, once:")
    session.show(confirmed)


@app.command("status")
def status(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """Show whether a person has one."""
    session.show(session.clarion.second_factors.get_second_factor(id_of(who)))


@app.command("remove")
def remove(who: Annotated[str, typer.Argument(metavar="ID|EMAIL")]) -> None:
    """Take the second factor of a person away who has lost their app and their recovery codes."""
    session.clarion.second_factors.remove_second_factor(id_of(who))
    session.say("removed; their password alone lets them in")


def _log_in(clarion: Clarion, email: str, password: str, project: str | None) -> LoginResponse:
    try:
        return clarion.auth.login(email=email, password=password, project=project)
    except errors.Unauthenticated as error:
        if error.reason != "SECOND_FACTOR_REQUIRED":
            raise
    return clarion.auth.login(email=email, password=password, project=project, code=typer.prompt("code of your authenticator app"))
