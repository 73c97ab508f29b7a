"""`make run`: the whole system in one process, until Ctrl-C."""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import uvloop

from devstack.client import Client
from devstack.postgres import PostgresError
from devstack.processes import API_KEY
from devstack.samples import create_samples, send_sample
from devstack.stack import ADMIN_EMAIL, ADMIN_PASSWORD, Ports, Stack, open_stack, prepared
from devstack.valkey import ValkeyError
from mesh.process import logs
from mesh.process.runtime import CannotStart, PortTaken
from mesh.process.settings import SettingsError

_BANNER = """
Clarion is running. Ctrl-C stops it; its data stays in {folder}.

  console        http://127.0.0.1:{rest}/console/welcome   (sign in as the administrator)
  REST           http://127.0.0.1:{rest}   (documentation: http://127.0.0.1:{rest}/docs)
  gRPC           gateway 127.0.0.1:{gateway}, user_svc 127.0.0.1:{user_svc}, template_svc 127.0.0.1:{template_svc}
  gRPC health    email_worker 127.0.0.1:{email_worker}, push_worker 127.0.0.1:{push_worker}, webhooks 127.0.0.1:{webhooks}
  API key        {key}
  administrator  {email} / {password}

Send a notification to the sample user, in her language, and see what became of it:

  curl -s --json '{{"user_id": "{user}", "channel": "email", "template": "welcome", "variables": {{"name": "Ada"}}}}' \\
    -H 'Authorization: Bearer {key}' http://127.0.0.1:{rest}/v1/notifications

  curl -s -H 'Authorization: Bearer {key}' 'http://127.0.0.1:{rest}/v1/notifications?user_id={user}&page_size=1'

The same over gRPC:

  .venv/bin/grpcurl -plaintext 127.0.0.1:{gateway} list

  .venv/bin/grpcurl -plaintext -H 'authorization: Bearer {key}' -d '{{"id": "{user}"}}' \\
    127.0.0.1:{gateway} clarion.user.v1.UserService/GetUser
{providers}"""
_PROVIDERS = """
Each mail and push message that the local SMTP and FCM servers receive is printed here.
"""


def _say(text: str) -> None:
    sys.stdout.write(f"  {text} ...\n")
    sys.stdout.flush()


async def _run(folder: Path, ports: Ports, level: str) -> int:
    logs.set_up("devstack", level=level, form="text")
    begun = time.monotonic()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write("Clarion starts:\n")
    async with open_stack(folder, ports=ports, say=_say) as stack:
        async with Client(stack.url, API_KEY) as client:
            user = await create_samples(client)
            await send_sample(client, user)
        local = stack.smtp is not None or stack.fcm is not None
        fields = {**stack.ports, "folder": folder, "key": API_KEY, "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "user": user}
        sys.stdout.write(f"  ready after {time.monotonic() - begun:.1f} s\n")
        sys.stdout.write(_BANNER.format(**fields, providers=_PROVIDERS if local else ""))
        sys.stdout.flush()
        watchers = _watchers(stack)
        await stop.wait()
        sys.stdout.write("\nClarion stops:\n")
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    return 0


def _watchers(stack: Stack) -> list[asyncio.Task[None]]:
    async def mails() -> None:
        while stack.smtp is not None:
            mail = await stack.smtp.next_message()
            sys.stdout.write(f"mail to {', '.join(mail.recipients)}: {mail.message['subject']}\n")
            sys.stdout.flush()

    async def pushes() -> None:
        while stack.fcm is not None:
            push = await stack.fcm.next_message()
            sys.stdout.write(f"push to …{push.token[-6:]}: {push.title}\n")
            sys.stdout.flush()

    return [asyncio.create_task(mails()), asyncio.create_task(pushes())]


def main() -> int:
    """Parses the arguments and runs. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="empty the data folder first")
    parser.add_argument("--data", type=Path, default=Path(".clarion"), help="where the data lives (default: .clarion)")
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default: WARNING")
    defaults = Ports()
    for name in Ports.__dataclass_fields__:
        port = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}-port", dest=name, type=int, default=port, help=f"default: {port}; 0 means any")
    arguments = parser.parse_args()
    folder = arguments.data.resolve() / "run"
    ports = Ports(**{name: getattr(arguments, name) for name in Ports.__dataclass_fields__})
    try:
        with prepared(folder, fresh=arguments.fresh):
            return uvloop.run(_run(folder, ports, arguments.log_level))
    except PortTaken as error:
        option = next((f"--{name}-port".replace("_", "-") for name in Ports.__dataclass_fields__ if getattr(ports, name) == error.port), "")
        problem = f"port {error.port} is taken or not allowed; make run ARGS='{option} {error.port + 10}' takes another one"
    except (CannotStart, PostgresError, ValkeyError, SettingsError, OSError) as error:
        problem = str(error)
    sys.stderr.write(f"Clarion can't start: {problem}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
