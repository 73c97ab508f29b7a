"""The commands put together, and the one place where errors end a run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from clarion_client import ClarionError, __version__
from clarion_client.cli import (
    activity,
    addresses,
    api,
    dead_letters,
    hooks,
    keys,
    notifications,
    operate,
    password,
    projects,
    roles,
    senders,
    signing_in,
    suppressions,
    templates,
    users,
)
from clarion_client.cli.session import EXIT_REFUSED, EXIT_USAGE, UsageProblem, session

# The base of all errors about the command line itself; which package it lives in depends on typer's version.
_UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="clarion",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Clarion from the command line.",
    epilog="`--json` works with every command, anywhere on the line. Exit codes: 0 done, 1 refused, 2 wrong usage, 3 unreachable, 4 not allowed, "
    "5 not found, 130 interrupted. NO_COLOR is honoured. Profiles are kept in ~/.config/clarion/config.toml.",
)
app.command("login")(operate.login)
app.command("whoami")(operate.whoami)
app.command("audit")(keys.audit)
app.command("send")(notifications.send)
app.command("watch")(notifications.watch)
app.command("tail")(notifications.tail)
app.command("overview")(activity.overview)
app.command("problems")(activity.problems)
app.command("queues")(activity.queues)
app.add_typer(notifications.app, name="notifications")
users.app.add_typer(addresses.app, name="addresses")
app.add_typer(users.app, name="users")
app.add_typer(templates.app, name="templates")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(hooks.app, name="webhooks")
app.add_typer(operate.breakers, name="breakers")
app.add_typer(suppressions.app, name="suppressions")
app.add_typer(senders.app, name="senders")
app.add_typer(keys.app, name="keys")
app.add_typer(projects.app, name="projects")
app.add_typer(roles.app, name="roles")
app.add_typer(password.app, name="password")
app.add_typer(signing_in.app, name="second-factor")
app.add_typer(operate.profiles_app, name="profiles")
app.command("api")(api.api)
app.command("doctor")(operate.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        session.out.print(__version__)
        raise typer.Exit


@app.callback()
def options(
    profile: Annotated[str, typer.Option(envvar="CLARION_PROFILE", help="The profile to use.")] = "",
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options that come before the command."""
    session.profile = profile


@cache
def command() -> Any:
    """All commands. To make them takes a fifth of a second."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    _open_streams()
    given, rest = list(arguments), []
    if "--" in given:
        cut = given.index("--")
        given, rest = given[:cut], given[cut:]
    session.as_json = "--json" in given
    given = [argument for argument in given if argument != "--json"]
    try:
        code = command()(args=[*given, *rest], standalone_mode=False, prog_name="clarion")
        return int(code or 0)
    except typer.Abort:
        return _unanswered()
    except KeyboardInterrupt:
        return 130
    except _UsageError as error:
        error.show(sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        # the reader of a pipe has had enough
        _drop_output()
        return 0
    except (ClarionError, UsageProblem) as error:
        return session.failure(error)
    except OSError as error:
        # every file that a command reads or writes is named where that is done: what is left is the output
        _drop_output()
        sys.stderr.write(f"error: the output can't be written: {error.strerror}\n")
        return EXIT_REFUSED
    finally:
        session.close()


def _drop_output() -> None:
    """What is not written yet goes nowhere: at its end Python would fail to write it, once more and with an exit code of its own."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _unanswered() -> int:
    """A question to which the answer was no, or that no one is there to answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        sys.stderr.write("\nnot done: the question needs an answer; there is no terminal, and --yes gives it beforehand\n")
    return 130


def _open_streams() -> None:
    """A process may be started without them, and in a locale that can't write every character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            stream.reconfigure(errors="backslashreplace")
