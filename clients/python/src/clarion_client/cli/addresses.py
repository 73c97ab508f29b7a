"""`clarion users addresses`: the e-mail addresses of a person beside the one that mail goes to."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion_client.cli.session import session
from clarion_client.cli.users import id_of

app = typer.Typer(no_args_is_help=True, help="The e-mail addresses of a person.")
_COLUMNS = ("address", "primary", "verified", "becomes_primary", "verify_time", "expire_time")
_Who = Annotated[str, typer.Argument(metavar="ID|EMAIL")]


@app.command("list")
def list_(who: _Who) -> None:
    """List a person's addresses, first the one that mail goes to."""
    session.rows(session.clarion.users.list_addresses(id_of(who)).addresses, _COLUMNS)


@app.command("add")
def add(
    who: _Who,
    address: Annotated[str, typer.Argument()],
    primary: Annotated[
        bool, typer.Option("--primary", help="Mail goes there once it is proved to be theirs; until then to the present one.")
    ] = False,
) -> None:
    """Add an address, and mail a link to it that proves, once and for 24 hours, that it is theirs. Again for another mail."""
    session.rows([session.clarion.users.create_address(id_of(who), address=address, primary=primary)], _COLUMNS)


@app.command("remove")
def remove(who: _Who, address: Annotated[str, typer.Argument()]) -> None:
    """Remove an address that is not the primary one, or withdraw one that is not proved yet."""
    session.clarion.users.delete_address(id_of(who), address)
    session.say("removed")
