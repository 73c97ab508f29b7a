"""`clarion roles`: named sets of scopes, and who has which."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion_client.cli.session import page_of, session

app = typer.Typer(no_args_is_help=True, help="Roles: named sets of scopes that people can be given.")
COLUMNS = ("id", "description", "scopes", "user_ids")
Name = Annotated[str, typer.Argument(metavar="ROLE", help="Such as support.")]
Person = Annotated[str, typer.Argument(metavar="USER", help="Id or external id of the person.")]
Scopes = Annotated[list[str], typer.Option("--scope", "-s", help="What it lets people do, such as notifications:read; as often as needed.")]


@app.command("list")
def list_(most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50) -> None:
    """List the roles, by id."""
    session.rows(session.clarion.roles.list(page_size=page_of(most)), COLUMNS, most=most)


@app.command("show")
def show(name: Name) -> None:
    """Show a role, and the first people who have it."""
    session.show(session.clarion.roles.get(name))


@app.command("create")
def create(name: Name, scope: Scopes, description: Annotated[str, typer.Option(help="What it is for.")] = "") -> None:
    """Make a role of scopes that you have yourself."""
    session.show(session.clarion.roles.create(role={"id": name, "description": description, "scopes": scope}))


@app.command("update")
def update(
    name: Name,
    scope: Annotated[list[str] | None, typer.Option("--scope", "-s", help="Replaces all that it has; as often as needed.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Change what a role lets people do, from their next access token on."""
    given = {"scopes": scope or None, "description": description}
    changed = {field: value for field, value in given.items() if value is not None}
    session.show(session.clarion.roles.update(name, role=changed, update_mask=",".join(changed)))


@app.command("delete")
def delete(name: Name) -> None:
    """Delete a role that no one has."""
    session.clarion.roles.delete(name)
    session.say("deleted")


@app.command("assign")
def assign(user: Person, role: Name) -> None:
    """Give a person a role, in place of the one that they have."""
    session.show(session.clarion.roles.assign(user, role=role))


@app.command("unassign")
def unassign(user: Person) -> None:
    """Take away the role that a person has."""
    session.show(session.clarion.roles.assign(user, role=""))
