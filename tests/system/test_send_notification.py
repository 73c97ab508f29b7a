"""Two hundred notifications through five processes."""

import asyncio

import pytest

from devstack.samples import SHIPPED, WELCOME
from tests.system.conftest import System

# one event loop, since all share one system
pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]


async def test_two_hundred_notifications_arrive_with_the_right_texts_in_the_right_languages(system: System) -> None:
    """100 mails and 100 push messages, half of each in Portuguese; every one is told as sent and arrives once."""
    await system.client.create_template("welcome", "email", WELCOME)
    await system.client.create_template("order-shipped", "push", SHIPPED)
    locales = ["pt-BR" if number % 2 else "en" for number in range(100)]
    people = await asyncio.gather(
        *(system.client.create_user(f"person{number}@example.com", locale=locale) for number, locale in enumerate(locales))
    )
    await asyncio.gather(
        *(
            system.client.call("POST", f"/v1/users/{user}/devices", {"token": f"device-of-{number}", "platform": "ios"})
            for number, user in enumerate(people)
        )
    )
    sent = await asyncio.gather(
        *(system.client.send(user, "email", "welcome", {"name": f"N{number}"}) for number, user in enumerate(people)),
        *(system.client.send(user, "push", "order-shipped", {"order": f"O{number}"}) for number, user in enumerate(people)),
    )
    settled = await asyncio.gather(*(system.client.settled(identifier, timeout_s=60) for identifier in sent))
    assert {notification["status"] for notification in settled} == {"sent"}

    subjects = {"en": "Welcome, {}", "pt-BR": "Boas-vindas, {}"}
    received = [mail for mail in system.smtp.mails if mail.recipients[0].startswith("person")]
    mails = {mail.recipients[0]: mail for mail in received}
    assert len(received) == len(mails) == 100
    for number, locale in enumerate(locales):
        message = mails[f"person{number}@example.com"].message
        assert message["subject"] == subjects[locale].format(f"N{number}")
        html, text = message.get_body(("html",)), message.get_body(("plain",))
        assert html is not None
        assert text is not None
        assert f"<b>N{number}</b>" in html.get_content()
        assert f"N{number}" in text.get_content()

    titles = {"en": "On its way", "pt-BR": "A caminho"}
    taken = [push for push in system.fcm.pushes if push.token.startswith("device-of-")]
    pushes = {push.token: push for push in taken}
    assert len(taken) == len(pushes) == 100
    for number, locale in enumerate(locales):
        push = pushes[f"device-of-{number}"]
        assert push.title == titles[locale]
        assert push.message["data"]["order"] == f"O{number}"


async def test_the_timeline_explains_what_happened(system: System) -> None:
    """Pending, queued, sending, sent, in the order of time."""
    await system.client.create_template("welcome", "email", WELCOME)
    user = await system.client.create_user("timeline@example.com")
    identifier = await system.client.send(user, "email", "welcome", {"name": "T"})
    notification = await system.client.settled(identifier)
    assert [entry["status"] for entry in notification["timeline"]] == ["pending", "queued", "sending", "sent"]
    times = [entry["time"] for entry in notification["timeline"]]
    assert times == sorted(times)
