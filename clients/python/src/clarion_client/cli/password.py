"""`clarion password`: a new password in place of a lost one, which takes no credential but the mailbox."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from clarion_client import Clarion
from clarion_client.cli.session import UsageProblem, address_of_server, open_client, session

app = typer.Typer(no_args_is_help=True, help="A new password in place of a lost one.")
_Url = Annotated[str | None, typer.Option(help="The gateway's address; the profile's when it is left out.")]


@app.command("forgot")
def forgot(
    email: Annotated[str, typer.Argument()],
    project: Annotated[str | None, typer.Option(help="The project that the account belongs to.")] = None,
    url: _Url = None,
) -> None:
    """Have a link or code sent that sets a new password, once and for 30 minutes."""
    with _stranger(url) as clarion:
        clarion.accounts.request_password_reset(email=email, project=project)
    session.say("if there is an account with this address, the mail is on its way; then: clarion password reset")


@app.command("reset")
def reset(url: _Url = None) -> None:
    """Set a new password with the code of the mail, or with its link; all sessions end."""
    if not sys.stdin.isatty():
        raise UsageProblem("the code and the new password are typed in, so that they stand in no history of commands: use a terminal")
    token = getpass.getpass("code or link of the mail: ").strip().rpartition("#")[2]
    password = getpass.getpass("new password (15 characters or more): ")
    if password != getpass.getpass("once more: "):
        raise UsageProblem("the two differ; nothing was changed")
    with _stranger(url) as clarion:
        clarion.accounts.reset_password(token=token, new_password=password)
    session.say("the new password is set; sign in with it")


def _stranger(url: str | None) -> Clarion:
    return open_client(url or address_of_server(), "")
