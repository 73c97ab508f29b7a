"""`make demo`: one e-mail and one push through the whole system, shown from both ends. Exits 1 and says why when anything differs."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from devstack.client import Client, RefusedError
from devstack.processes import API_KEY
from devstack.samples import create_samples
from devstack.stack import ANY_PORTS, Stack, open_stack
from mesh.process import logs

_TIMEOUT_S = 60.0


class DemoError(Exception):
    """Something did not happen as it should."""


def _say(text: str) -> None:
    sys.stdout.write(f"  {text} ...\n")
    sys.stdout.flush()


def _show(title: str, text: str) -> None:
    sys.stdout.write(f"\n--- {title}\n{text.rstrip()}\n")
    sys.stdout.flush()


async def _settled(client: Client, notification_id: str) -> Any:
    notification = await client.settled(notification_id, timeout_s=_TIMEOUT_S)
    if notification["status"] != "sent":
        raise DemoError(f"notification {notification_id} ended {notification['status']}: {json.dumps(notification['timeline'])}")
    return notification


def _timeline(notification: Any) -> str:
    lines = [f"{notification['channel']} {notification['id']}: {notification['status']}, in {notification['locale']}"]
    for entry in notification["timeline"]:
        words = " ".join(str(entry[key]) for key in ("reason", "detail") if entry.get(key))
        lines.append(f"  {entry['time']}  {entry['status']:<8} {words}".rstrip())
    return "\n".join(lines)


async def _demo(stack: Stack) -> None:
    if stack.smtp is None or stack.fcm is None:
        raise DemoError("the demo needs the local SMTP and FCM servers: unset CLARION_SMTP_HOST and CLARION_FCM_CREDENTIALS_FILE")
    async with Client(stack.url, API_KEY) as client, asyncio.timeout(_TIMEOUT_S):
        _say("creating a user with a device, and two templates in two languages")
        user = await create_samples(client)
        _say("sending an e-mail and a push over REST")
        mail_id = await client.send(user, "email", "welcome", {"name": "Ada & Charles"})
        push_id = await client.send(user, "push", "order-shipped", {"order": "A-1815"})
        mail, push = await asyncio.gather(_settled(client, mail_id), _settled(client, push_id))
        received_mail, received_push = await stack.smtp.next_message(), await stack.fcm.next_message()
    _show("what the SMTP server received", received_mail.raw.decode())
    _show("what the FCM server received", json.dumps(received_push.message, indent=2, ensure_ascii=False))
    _show("what the API answers", _timeline(mail) + "\n" + _timeline(push))
    subject = str(received_mail.message["subject"])
    if subject != "Boas-vindas, Ada & Charles":
        raise DemoError(f"the mail's subject is {subject!r}")
    if received_push.title != "A caminho":
        raise DemoError(f"the push's title is {received_push.title!r}")


async def _run(folder: Path) -> None:
    logs.set_up("devstack", level="WARNING", form="text")
    sys.stdout.write("Clarion starts:\n")
    async with open_stack(folder, ports=ANY_PORTS, say=_say) as stack:
        await _demo(stack)


def main() -> int:
    """Runs the demo in a folder of its own. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="clarion-demo-") as folder:
        # PostgreSQL runs as another user when we are root, and must reach its data
        Path(folder).chmod(0o755)
        try:
            uvloop.run(_run(Path(folder)))
        except (DemoError, RefusedError) as error:
            sys.stderr.write(f"\nthe demo failed: {error}\n")
            return 1
        except TimeoutError:
            sys.stderr.write(f"\nthe demo failed: not everything was sent within {_TIMEOUT_S:g} s\n")
            return 1
    sys.stdout.write("\nBoth were sent. `make run` keeps the system running for you to try.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
