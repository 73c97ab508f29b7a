"""`clarion senders`: from whom mails are, and the domains of these addresses."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion_client.cli.session import EXIT_REFUSED, session
from clarion_client.models import SenderDomain

app = typer.Typer(no_args_is_help=True, help="From whom mails are.")
domains = typer.Typer(no_args_is_help=True, help="Domains whose addresses mails may be from.")
app.add_typer(domains, name="domains")
COLUMNS = ("name", "email", "display_name", "reply_to_email", "default_sender")
_DOMAIN_COLUMNS = ("domain", "verified", "check_time", "problem")
Domain = Annotated[str, typer.Argument(help="Such as example.com.")]


@app.command("list")
def list_() -> None:
    """List the project's senders."""
    session.rows(session.clarion.senders.list().senders, COLUMNS, most=0)


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="What templates call it, such as billing.")],
    email: Annotated[str, typer.Option(help="The address in From, of a verified domain.")],
    display_name: Annotated[str | None, typer.Option("--display-name", help='Such as "Acme Billing".')] = None,
    reply_to: Annotated[str | None, typer.Option(help="Where answers go; to the address itself without.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Mails are from it whose template names no other.")] = False,
) -> None:
    """Make a sender, or set the one of that name as a whole."""
    sender = {"email": email, "display_name": display_name or "", "reply_to_email": reply_to or "", "default_sender": default}
    session.show(session.clarion.senders.update(name, sender=sender))


@app.command("delete")
def delete(name: Annotated[str, typer.Argument()]) -> None:
    """Delete a sender that no published version names."""
    session.clarion.senders.delete(name)
    session.say("deleted")


@domains.command("list")
def list_domains() -> None:
    """List the project's domains, and those that need no verification."""
    found = session.clarion.senders.list_domains()
    session.rows(found.domains, _DOMAIN_COLUMNS, most=0)
    if found.trusted_domains and not session.as_json:
        session.say(f"without verification: {', '.join(found.trusted_domains)}")


@domains.command("add")
def add(domain: Domain) -> None:
    """Add a domain, and show the record that DNS is to have."""
    _explain(session.clarion.senders.add_domain(domain))


@domains.command("verify")
def verify(domain: Domain) -> int:
    """Look for the records in DNS; exit 1 while one is not there."""
    found = session.clarion.senders.verify_domain(domain)
    _explain(found)
    return EXIT_REFUSED if found.problem or found.next_record else 0


@domains.command("rotate")
def rotate(domain: Domain) -> None:
    """Begin to replace the domain's key, and show the record of the next one."""
    _explain(session.clarion.senders.rotate_domain_key(domain))


@domains.command("delete")
def delete_domain(domain: Domain) -> None:
    """Delete a domain that no sender is of, and its key."""
    session.clarion.senders.delete_domain(domain)
    session.say("deleted")


def _explain(domain: SenderDomain) -> None:
    if session.as_json:
        session.show(domain)
        return
    session.say(f"{domain.domain} is {'verified' if domain.verified else 'not verified'}")
    if domain.problem:
        session.say(domain.problem)
    if domain.next_problem:
        session.say(domain.next_problem)
    wanted = [domain.record] if domain.record is not None and (domain.problem or not domain.verified) else []
    wanted += [domain.next_record] if domain.next_record is not None else []
    for record in wanted:
        session.say(f"add to DNS, type {record.type}:\n  name   {record.name}\n  value  {record.value}")
    if domain.next_record is not None and domain.record is not None:
        session.say(f"leave {domain.record.name} as it is: mails are signed with its key until the next record is found")
    if wanted:
        session.say(f"then: clarion senders domains verify {domain.domain}")
    elif domain.former_record is not None:
        session.say(f"since {domain.rotate_time} a new key signs; a week later {domain.former_record.name} can go from DNS")
