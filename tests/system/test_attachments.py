"""Files of mails, from the call to the bytes that the SMTP server got."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest

from devstack.client import Client, RefusedError
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

HTML = {"en": {"subject": "Your invoice", "html": '<p>Hello {{ name }}</p><img src="cid:logo" alt="Acme" width="10" height="10">'}}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def file(filename: str, content: bytes = b"", **more: str) -> dict[str, Any]:
    return {"filename": filename, **({"content": b64encode(content).decode()} if content else {}), **more}


async def send(client: Client, address: str, attachments: list[dict[str, Any]], **more: Any) -> str:
    await client.create_template("attached", "email", HTML)
    body = {"to": {"email": address}, "channel": "email", "template": "attached", "variables": {"name": "Ada"}, "attachments": attachments}
    return str((await client.call("POST", "/v1/notifications", {**body, **more}))["id"])


async def test_a_mail_carries_its_files(system: System) -> None:
    client, terms = system.client, b"%PDF-1.7 " + bytes(range(256)) * 4000
    kept = await client.call("POST", "/v1/attachments", {"content": b64encode(terms).decode()})
    assert kept["size_bytes"] == len(terms)
    assert (await client.call("POST", "/v1/attachments", {"content": b64encode(terms).decode()}))["id"] == kept["id"]
    sent = await send(
        client,
        "attached-1@example.com",
        [
            file("Rechnung für Ada.pdf", b"%PDF-1.4 invoice"),
            file("terms.pdf", attachment_id=kept["id"]),
            file("logo.png", PICTURE, content_id="logo"),
            file("invite.ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", content_type="text/calendar; method=REQUEST"),
        ],
    )
    assert (await client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if "attached-1@example.com" in mail.recipients]
    files = {part.get_filename(): part for part in mail.message.walk() if part.get_filename()}
    assert set(files) == {"Rechnung für Ada.pdf", "terms.pdf", "logo.png", "invite.ics"}
    assert files["terms.pdf"].get_content() == terms
    assert files["logo.png"].get_content() == PICTURE
    assert (files["logo.png"]["Content-ID"], files["logo.png"].get_content_disposition()) == ("<logo>", "inline")
    assert [part.get_param("method") for part in mail.message.walk() if part.get_content_type() == "text/calendar"] == ["REQUEST"]


@pytest.mark.parametrize(
    ("attachments", "field"),
    [
        ([file("a.pdf", attachment_id="0" * 64)], "attachments[0].attachment_id"),
        ([file("a.exe", b"x")], "attachments[0].filename"),
        ([file("a.pdf", b"x" * 600_000)], "attachments[0].content"),
        ([file("a.pdf")], "attachments[0].content"),
        ([file("a.pdf", b"x")] * 11, "attachments"),
        ([file("a.pdf", b"x", attachment_id="nonsense")], "attachments[0].attachment_id"),
    ],
)
async def test_what_can_not_be_carried_is_refused_by_field(system: System, attachments: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(RefusedError) as caught:
        await send(system.client, "attached-2@example.com", attachments)
    assert caught.value.status == 400
    assert field in str(caught.value.body)


async def test_push_carries_none(system: System) -> None:
    await system.client.create_template("attached-push", "push", {"en": {"title": "a", "body": "b"}})
    user = await system.client.create_user("attached-push@example.com")
    with pytest.raises(RefusedError, match="only e-mail"):
        await system.client.send(user, "push", "attached-push", {}, attachments=[file("a.pdf", b"x")])


async def test_a_test_key_sees_what_would_be_carried(system: System) -> None:
    scopes = ["notifications:send", "notifications:read", "templates:read", "templates:write"]
    made = await system.client.call("POST", "/v1/api-keys", {"name": "attached", "scopes": scopes, "test": True})
    async with Client(system.processes.url, str(made["secret"])) as tester:
        sent = await send(tester, "delivered+attached@clarion.test", [file("invoice.pdf", b"%PDF")])
        assert (await tester.settled(sent))["status"] == "sent"
        captured = await tester.call("GET", f"/v1/notifications/{sent}/captured-message")
    assert [(each["filename"], each["content_type"], each["size_bytes"]) for each in captured["attachments"]] == [
        ("invoice.pdf", "application/pdf", 4)
    ]


async def test_a_file_is_waited_for(system: System) -> None:
    sent = await send(system.client, "attached-3@example.com", [file("invoice.pdf", b"%PDF of a restart")])
    await asyncio.to_thread(system.processes.stop, "template_svc")
    system.processes.spawn("template_svc")
    assert (await system.client.settled(sent))["status"] == "sent"
    [mail] = [mail for mail in system.smtp.mails if "attached-3@example.com" in mail.recipients]
    assert [part.get_content() for part in mail.message.iter_attachments()] == [b"%PDF of a restart"]
    await system.reached("template_svc", "/v1/templates")


async def test_the_export_of_a_persons_data_names_the_files_that_were_sent_to_them(system: System) -> None:
    sent = await send(
        system.client,
        "attached-export@example.com",
        [file("Diagnose.pdf", b"%PDF-1.4 secret"), file("logo.png", PICTURE, content_id="logo")],
    )
    assert (await system.client.settled(sent))["status"] == "sent"
    [person] = (await system.client.call("GET", "/v1/users?email=attached-export@example.com"))["users"]
    lines = [json.loads(line)["result"] async for line in system.client.lines(f"/v1/users/{person['id']}:exportPersonalData")]
    [exported] = [line["notification"]["attachments"] for line in lines if "notification" in line]
    assert [(each["filename"], each["content_type"], each["size_bytes"]) for each in exported] == [
        ("Diagnose.pdf", "application/pdf", 15),
        ("logo.png", "image/png", len(PICTURE)),
    ]
