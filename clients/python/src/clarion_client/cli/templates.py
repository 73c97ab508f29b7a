"""`clarion templates`: templates, also as files (`template_files`) for version control and CI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from clarion_client import _values as v
from clarion_client import errors
from clarion_client.cli import canaries, golden, template_diff
from clarion_client.cli.files import inside, read_text, write_text
from clarion_client.cli.session import EXIT_REFUSED, UsageProblem, page_of, read_json, session, when
from clarion_client.cli.template_files import CATALOG, META, PARTIALS, Source, read_all, write
from clarion_client.models import ScheduledPublication, Template, TemplateVersion

app = typer.Typer(no_args_is_help=True, help="Templates, also as files.")
app.add_typer(canaries.app, name="canary")
app.command("test")(golden.test)
COLUMNS = ("name", "channel", "category", "latest_version", "published_version", "update_time")
PLAN_COLUMNS = ("template", "version", "publish_at", "previous_version", "scheduled_by", "note", "id")
Folder = Annotated[Path, typer.Option("--folder", "-f", help="The folder of templates.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All when none is named.")]


@app.command("list")
def list_(
    most: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 50,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones, too.")] = False,
) -> None:
    """List templates by name."""
    columns = (*COLUMNS, "archive_time") if archived else COLUMNS
    session.rows(session.clarion.templates.list(page_size=page_of(most), show_archived=archived), columns, most=most)


@app.command("get")
def get(name: Annotated[str, typer.Argument()], version: Annotated[int, typer.Option(help="0: the published one.")] = 0) -> None:
    """Show a template, or one of its versions."""
    found = session.clarion.templates.get(name)
    number = version or found.published_version
    session.show(session.clarion.templates.get_version(name, number) if number else found)


@app.command("preview")
def preview(
    name: Annotated[str, typer.Argument()],
    locale: Annotated[str | None, typer.Option()] = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Europe/Paris.")] = None,
    version: Annotated[int | None, typer.Option()] = None,
    variables: Annotated[str, typer.Option(help="A JSON object.")] = "{}",
    user: Annotated[str | None, typer.Option(help="As this person would get it, by our id or your own.")] = None,
) -> None:
    """Show exactly what a send would produce."""
    try:
        given = read_json(variables)
    except ValueError:
        raise UsageProblem("--variables: is no JSON") from None
    session.show(session.clarion.templates.preview(name, locale=locale, timezone=timezone, version=version, variables=given, user_id=user))


@app.command("catalog")
def catalog(
    name: Annotated[str, typer.Argument()],
    locale: Annotated[str, typer.Argument(help="The language that is translated into.")],
    version: Annotated[int, typer.Option(help="0: the latest one.")] = 0,
    folder: Folder = Path("templates"),
) -> None:
    """Write a PO file for translators, with what is translated so far."""
    number = version or session.clarion.templates.get(name).latest_version
    if not number:
        raise UsageProblem(f"{name} has no version yet; push one first")
    found = session.clarion.templates.get_catalog(name, number, locale)
    path = inside(folder / name, f"{found.locale}{CATALOG}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, found.catalog)
    session.say(f"{path}: {found.translated_messages} of {found.messages} texts are translated")


@app.command("publish")
def publish(
    name: Annotated[str, typer.Argument()],
    version: Annotated[int, typer.Argument(help="An older one rolls back.")],
    note: Annotated[str | None, typer.Option(help="Why, for those who read the history.")] = None,
) -> None:
    """Publish a version."""
    session.rows([session.clarion.templates.publish_version(name, version, note=note)], COLUMNS)


@app.command("update")
def update(
    name: Annotated[str, typer.Argument()],
    category: Annotated[str | None, typer.Option(help="That people's preferences refer to; '' for none.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    mandatory: Annotated[bool | None, typer.Option("--mandatory/--optional", help="Whether it is sent whatever people prefer.")] = None,
    on_unknown: Annotated[str | None, typer.Option(help="resend or hold: what happens when a delivery's outcome is unknown.")] = None,
) -> None:
    """Change what a template is, for what is accepted from then on; its texts are in versions."""
    given = {"category": category, "description": description, "mandatory": mandatory, "on_unknown": on_unknown}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise UsageProblem("say what to change: --category, --description, --mandatory, --optional or --on-unknown")
    session.show(_update(name, changes))


@app.command("schedule")
def schedule(
    name: Annotated[str, typer.Argument()],
    version: Annotated[int, typer.Argument(help="An older one rolls back.")],
    at: Annotated[str, typer.Option(help="When, such as 2030-01-31T09:00:00Z.")],
    note: Annotated[str | None, typer.Option(help="Why, for those who read the history.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In place of what is scheduled.")] = False,
) -> None:
    """Publish a version at a time, unless another one is published until then."""
    waiting = _scheduled(name) if replace else None
    plans = session.clarion.scheduled_publications
    plan = plans.create(template=name, version=version, publish_at=when(at), note=note, replaces=waiting.id if waiting else None)
    session.rows([plan], PLAN_COLUMNS)


@app.command("scheduled")
def scheduled(
    name: Annotated[str | None, typer.Argument(help="All templates when none is named.")] = None,
    ended: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    most: Annotated[int, typer.Option("--limit", "-n", min=0)] = 50,
) -> None:
    """List which versions are to be published, and when."""
    plans = session.clarion.scheduled_publications.list(template=name, state=None if ended else "planned", page_size=page_of(most))
    session.rows(plans, (*PLAN_COLUMNS, "end_time", "reason") if ended else PLAN_COLUMNS, most=most)


@app.command("unschedule")
def unschedule(name: Annotated[str, typer.Argument()]) -> None:
    """Call off what is scheduled for a template."""
    waiting = _scheduled(name)
    if waiting is None:
        raise UsageProblem(f"{name}: nothing is scheduled; clarion templates scheduled --all shows what was")
    session.rows([session.clarion.scheduled_publications.cancel(waiting.id)], (*PLAN_COLUMNS, "state"))


@app.command("history")
def history(name: Annotated[str, typer.Argument()], most: Annotated[int, typer.Option("--limit", "-n", min=0)] = 20) -> None:
    """List which versions came into use, newest first: when, by whom and why."""
    columns = ("version", "previous_version", "publish_time", "published_by", "note", "scheduled_publication")
    session.rows(session.clarion.templates.list_publications(name, page_size=page_of(most)), columns, most=most)


@app.command("archive")
def archive(name: Annotated[str, typer.Argument()], version: Annotated[int | None, typer.Option(help="Only this version.")] = None) -> None:
    """Take a template, or one of its versions, out of use; what was accepted before is delivered."""
    templates = session.clarion.templates
    _show_archived(templates.archive_version(name, version) if version else templates.archive(name))


@app.command("restore")
def restore(name: Annotated[str, typer.Argument()], version: Annotated[int | None, typer.Option(help="Only this version.")] = None) -> None:
    """Take what was archived into use again."""
    templates = session.clarion.templates
    _show_archived(templates.restore_version(name, version) if version else templates.restore(name))


@app.command("pull")
def pull(names: Names = None, folder: Folder = Path("templates")) -> None:
    """Write the published versions and the partials into files."""
    for partial in session.clarion.partials.list(page_size=50):
        (folder / PARTIALS).mkdir(parents=True, exist_ok=True)
        write_text(inside(folder / PARTIALS, partial.name), partial.source)
    for template in _wanted(names):
        if not template.published_version:
            session.err.print(f"{template.name}: nothing is published")
            continue
        version = v.encode(session.clarion.templates.get_version(template.name, template.published_version))
        others = write(inside(folder, template.name), v.encode(template), Source.of(version))
        _warn([f"{template.name}: {each} is no part of what is published; the next push would add it" for each in others])
        session.say(f"{template.name}: version {template.published_version}")


@app.command("diff")
def diff(
    names: Names = None,
    folder: Folder = Path("templates"),
    versions: Annotated[tuple[int, int] | None, typer.Option(metavar="FROM TO", help="Compare two versions of a template.")] = None,
) -> int:
    """Compare the files with what is published, or two versions; exit 1 when they differ."""
    if versions is not None:
        return _diff_versions(names or [], *versions)
    differing = 0
    for name, meta, source in read_all(folder, names):
        about = template_diff.of_meta(name, meta)
        lines = [*about.lines, *template_diff.with_published(name, source)]
        differing += bool(lines or about.fixed)
        template_diff.show(lines)
        _warn(about.fixed)
    session.say(f"{differing} differ")
    return EXIT_REFUSED if differing else 0


@app.command("push")
def push(
    names: Names = None,
    folder: Folder = Path("templates"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Make versions, publish none.")] = False,
    note: Annotated[str | None, typer.Option(help="Why, for those who read the history.")] = None,
) -> None:
    """Set the partials, then make a version of each template whose files differ from what is published, and publish it.

    What meta.yaml says of a template is set before that; with --draft it stays, since it is in use at once.
    """
    for path in sorted((folder / PARTIALS).glob("[!.]*")):  # not what editors and systems keep beside them
        _push_partial(path, dry_run=dry_run)
    for name, meta, source in read_all(folder, names):
        about = template_diff.of_meta(name, meta)
        _warn(about.fixed)
        if about.changes:
            _push_meta(name, about.changes, dry_run=dry_run, draft=draft)
        if not template_diff.with_published(name, source):
            if not about.changes:
                session.say(f"{name}: unchanged")
            continue
        if dry_run:
            session.say(f"{name}: would be changed")
            continue
        try:
            session.clarion.templates.get(name)
        except errors.NotFound:
            session.clarion.templates.create(name=name, **{key: meta[key] for key in META if key in meta})
        made = session.clarion.templates.create_version(name, **source._asdict(), publish=not draft, note=note)
        session.say(f"{name}: version {made.version}{' (draft)' if draft else ' published'}")


@app.command("lint")
def lint(
    names: Names = None,
    folder: Folder = Path("templates"),
    strict: Annotated[bool, typer.Option("--strict", help="Findings are errors.")] = False,
) -> int:
    """Check files without pushing them; exit 1 for what would be refused, and with --strict for every finding."""
    refused, found = 0, 0
    for name, meta, source in read_all(folder, names):
        try:
            checked = session.clarion.templates.lint_contents(
                channel=meta.get("channel", "email"),
                default_locale=meta.get("default_locale"),
                contents=source.contents,
                catalogs=source.catalogs,
                variables_schema=source.variables_schema,
            )
        except errors.InvalidRequest as error:
            refused += 1
            for violation in error.violations:
                session.out.print(f"{name}: error: {violation.field}: {violation.description}", style="red", markup=False)
            continue
        found += len(checked.findings)
        for finding in checked.findings:
            line = f"{name}: {finding.field}:{finding.line}: {finding.description} ({finding.rule})"
            session.out.print(line, style="yellow", markup=False)
    session.say(f"{refused} refused, {found} findings")
    return EXIT_REFUSED if refused or (strict and found) else 0


@app.command("rebuild")
def rebuild(
    partial: Annotated[str, typer.Argument(help="The name of a partial that has changed.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")] = False,
) -> int:
    """Make and publish new versions of the templates that hold an older revision of a partial; exit 1 when one is refused."""
    problems = 0
    for each in session.clarion.partials.rebuild_templates(partial, validate_only=dry_run).templates:
        problems += bool(each.problem)
        done = each.problem or (f"version {each.new_version} published" if each.new_version else "would be rebuilt")
        session.say(f"{each.template}: {done}")
    return EXIT_REFUSED if problems else 0


def _diff_versions(names: list[str], old: int, new: int) -> int:
    if len(names) != 1:
        raise UsageProblem("--versions: name the one template whose versions are to be compared")
    before, after = (template_diff.version_of(names[0], number) for number in (old, new))
    lines = list(template_diff.between(before, after, f"{names[0]}/{old}", f"{names[0]}/{new}"))
    template_diff.show(lines)
    session.say("they differ" if lines else "they are the same")
    return EXIT_REFUSED if lines else 0


def _warn(lines: list[str]) -> None:
    for line in lines:
        session.err.print(line, style="yellow", markup=False)


def _scheduled(name: str) -> ScheduledPublication | None:
    return next(iter(session.clarion.scheduled_publications.list(template=name, state="planned", page_size=1)), None)


def _show_archived(found: Template | TemplateVersion) -> None:
    first = ("template", "version") if isinstance(found, TemplateVersion) else ("name", "published_version")
    session.rows([found], (*first, "archive_time", "archived_by"))


def _wanted(names: list[str] | None) -> Iterator[Template]:
    if names:
        yield from (session.clarion.templates.get(name) for name in names)
    else:
        yield from session.clarion.templates.list(page_size=200)


def _push_meta(name: str, changes: dict[str, Any], *, dry_run: bool, draft: bool) -> None:
    named = ", ".join(changes)
    if draft:
        _warn([f"{name}: meta.yaml: {named}: not changed with --draft, since a change is in use at once"])
    elif dry_run:
        session.say(f"{name}: {named} would be changed")
    else:
        _update(name, changes)
        session.say(f"{name}: {named} changed")


def _update(name: str, changes: dict[str, Any]) -> Template:
    return session.clarion.templates.update(name, template=changes, update_mask=",".join(changes))


def _push_partial(path: Path, *, dry_run: bool) -> None:
    try:
        before = session.clarion.partials.get(path.name)
    except errors.NotFound:
        before = None
    if before is not None and before.source == read_text(path):
        return
    if dry_run:
        touched = len(before.uses) if before is not None else 0
        session.say(f"{path.name}: would be changed; {touched} published templates hold it")
        return
    made = session.clarion.partials.update(path.name, source=read_text(path))
    session.say(f"{path.name}: revision {made.revision}; clarion templates rebuild {path.name} takes it into templates that hold it")
