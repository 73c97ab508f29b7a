"""`clarion keys` and `clarion audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion_client.cli.session import UsageProblem, page_of, session, when

app = typer.Typer(no_args_is_help=True, help="API keys of programs.")
COLUMNS = ("id", "name", "prefix", "scopes", "create_time", "expire_time", "created_by")
AUDIT_COLUMNS = ("time", "kind", "actor", "subject", "details")


@app.command("list")
def list_(most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50) -> None:
    """List the keys that work, newest first."""
    session.rows(session.clarion.auth.list_api_keys(page_size=page_of(most)), COLUMNS, most=most)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str], typer.Option("--scope", "-s", help="What it may do, such as notifications:send; as often as needed.")],
    template: Annotated[list[str] | None, typer.Option(help='Narrows it to this template; "billing-*" to all that begin so.')] = None,
    category: Annotated[list[str] | None, typer.Option(help="Narrows it to this category, likewise.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Narrows it to people with addresses of this domain.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it stops working, such as 2030-01-31.")] = None,
    test: Annotated[bool, typer.Option("--test", help="A key whose notifications reach no provider.")] = False,
) -> None:
    """Make a key, and show it this once."""
    narrowed = {"templates": template, "categories": category, "recipient_domains": domain}
    session.show(
        session.clarion.auth.create_api_key(
            name=name,
            scopes=scope,
            expire_time=when(expires) if expires else None,
            test=test,
            restrictions={kind: names for kind, names in narrowed.items() if names} or None,
        )
    )


@app.command("rotate")
def rotate(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    at_once: Annotated[bool, typer.Option("--revoke", help="Revoke the old one at once; every program that has it stops working.")] = False,
) -> None:
    """Make a key that may do the same as another, and show it this once; the other one is revoked at once or by `revoke`."""
    old = next((key for key in session.clarion.auth.list_api_keys(page_size=page_of(0)) if key.id == identifier), None)
    if old is None:
        raise UsageProblem(f"there is no key {identifier} that works; `clarion keys list` shows those that do")
    made = session.clarion.auth.create_api_key(
        name=old.name, scopes=old.scopes, expire_time=old.expire_time, test=old.test, restrictions=old.restrictions
    )
    session.show(made)
    if at_once:
        session.clarion.auth.delete_api_key(old.id)
        session.say(f"{old.prefix}… is revoked; other processes know within 5 s")
    else:
        session.say(f"{old.prefix}… still works: `clarion keys revoke {old.id}` when every program has the new one")


@app.command("rotate-signing")
def rotate_signing() -> None:
    """Make a new key that signs access tokens, in all projects. Tokens in use stay valid until they expire."""
    session.show(session.clarion.auth.rotate_signing_key())
    session.say("all processes of user_svc sign with it within 5 minutes; the former one is published for an hour")


@app.command("revoke")
def revoke(identifier: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a key for good, and every key that was made with it."""
    session.clarion.auth.delete_api_key(identifier)
    session.say("revoked; other processes know within 5 s")


def audit(
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind, such as sign_in_failed; as often as needed.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this one did, such as api_key:ID.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this one, such as user:ID.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from then on, such as 2030-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before then.")] = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
) -> None:
    """List what was done to accounts, keys and personal data, newest first."""
    events = session.clarion.audit.list_audit_events(
        kinds=kind or None,
        actor=actor,
        subject=subject,
        start_time=when(since) if since else None,
        end_time=when(until) if until else None,
        page_size=page_of(most),
    )
    session.rows(events, AUDIT_COLUMNS, most=most)
