"""`clarion projects`: the walls of an installation."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion_client.cli.session import page_of, session

app = typer.Typer(no_args_is_help=True, help="Projects, with a credential of the project default.")
COLUMNS = ("id", "display_name", "create_time", "archive_time")
Name = Annotated[str, typer.Argument(metavar="PROJECT", help="Such as shop-staging.")]


@app.command("list")
def list_(most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50) -> None:
    """List the projects, by id."""
    session.rows(session.clarion.projects.list(page_size=page_of(most)), COLUMNS, most=most)


@app.command("create")
def create(name: Name, title: Annotated[str, typer.Option("--title", help="What people call it.")] = "") -> None:
    """Make a project. Its first key: `clarion api POST /v1/api-keys` with `project`."""
    session.show(session.clarion.projects.create(project={"id": name, "display_name": title}))


@app.command("archive")
def archive(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Take a project out of use: its keys and sessions end for good, and nothing of it is sent any more."""
    if not yes:
        typer.confirm(f"end every key and session of {name}, and send nothing of it any more?", abort=True)
    session.show(session.clarion.projects.archive(name))


@app.command("restore")
def restore(name: Name) -> None:
    """Take an archived project into use again. Its keys stay revoked."""
    session.show(session.clarion.projects.restore(name))


@app.command("delete")
def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Erase an archived project with everyone and everything in it. There is no way back."""
    if not yes:
        typer.confirm(f"erase {name} with all of its people, templates and settings for good?", abort=True)
    session.show(session.clarion.projects.delete(name))
