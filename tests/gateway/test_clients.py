"""What the gateway asks before it accepts, over a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clarion.channel.v1 import channel_pb2
from clarion.template.v1 import render_service_pb2
from clarion.user.v1 import recipient_service_pb2
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceServicer
from gateway.accepting.clients import TemplateClient, UserClient
from gateway.accepting.models import Addressee, Reached, TemplateKey
from mesh.context import FIRST_PROJECT
from mesh.errors import Code, InvalidArgument, ServiceError, Unavailable
from mesh.resilience.breaker import Breaker
from mesh.rpc.channel import open_channel
from mesh.rpc.identity import ServiceIdentity
from mesh.rpc.interceptors import client_chain
from mesh.rpc.settings import ChannelSettings
from mesh.testing import SECRET, FakeClock, serving_port

RENDER = render_service_pb2.DESCRIPTOR.services_by_name["RenderService"]
RECIPIENT = recipient_service_pb2.DESCRIPTOR.services_by_name["RecipientService"]
SETTINGS = ChannelSettings(ca_file="", cert_file="", key_file="", breaker_failures=100, breaker_open_s=60.0)


class Peer(RecipientServiceServicer):
    """template_svc and user_svc in one; `down` makes it fail."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[list[str]] = []
        self.published = {"welcome": 3, "draft": 0}
        self.users = {"ada"}
        self.addresses: dict[str, str] = {}

    def _begin(self, asked: list[str]) -> None:
        self.calls.append(asked)
        if self.down:
            raise Unavailable("down for now", retry_after_s=7)

    async def BatchDescribeTemplates(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        self._begin(list(request.names))
        summaries = [
            render_service_pb2.TemplateSummary(
                name=name,
                exists=name in self.published,
                channel=channel_pb2.CHANNEL_EMAIL if name in self.published else channel_pb2.CHANNEL_UNSPECIFIED,
                published_version=self.published.get(name, 0),
                required_variables=["name"],
            )
            for name in request.names
        ]
        return render_service_pb2.BatchDescribeTemplatesResponse(summaries=summaries)

    async def BatchRender(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        raise NotImplementedError

    async def BatchCheckUsers(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        self._begin(list(request.user_ids))
        known = [pair for pair in zip(request.user_ids, request.projects, strict=True) if pair[0] in self.users]
        return recipient_service_pb2.BatchCheckUsersResponse(
            existing_user_ids=[name for name, _ in known],
            projects=[project for _, project in known],
            ids=[f"id-of-{name}" for name, _ in known],
        )

    async def BatchEnsureUsers(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        self._begin([user.email for user in request.users])
        for user in request.users:
            if user.name == "spoilt":
                raise InvalidArgument.of("users[0].name", "is spoilt")
        other = "" if request.only_existing else "new"
        return recipient_service_pb2.BatchEnsureUsersResponse(ids=[self.addresses.get(user.email, other) for user in request.users])

    async def BatchResolveRecipients(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        raise NotImplementedError

    async def BatchRemoveDevices(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        raise NotImplementedError

    async def SuppressAddress(self, request: Any, context: Any) -> Any:  # noqa: N802  the schema names it
        raise NotImplementedError


class Asking:
    def __init__(self, channel: Any, peer: Peer) -> None:
        self.peer = peer
        self.clock = FakeClock()
        self.templates = TemplateClient(channel, fresh_s=3, stale_s=600, clock=self.clock)
        self.users = UserClient(channel, fresh_s=60, stale_s=600, clock=self.clock)


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    peer = Peer()  # type: ignore[abstract]  # the gateway calls no other method here
    chain = client_chain(ServiceIdentity("gateway", SECRET), Breaker("test", failures=100))
    async with (
        serving_port((RENDER, peer), (RECIPIENT, peer)) as port,
        open_channel(f"dns:///127.0.0.1:{port}", settings=SETTINGS, chain=chain, services=[]) as channel,
    ):
        opened = Asking(channel, peer)
        yield opened
        await opened.templates.close()
        await opened.users.close()


async def test_questions_of_a_moment_share_a_call_and_answers_are_kept(asking: Asking) -> None:
    found = await asyncio.gather(*(asking.templates.describe(TemplateKey(FIRST_PROJECT, "welcome")) for _ in range(20)))
    assert {summary.published_version for summary in found if summary} == {3}
    assert asking.peer.calls == [["welcome"]]
    asking.clock.advance(2)
    await asking.templates.describe(TemplateKey(FIRST_PROJECT, "welcome"))
    assert len(asking.peer.calls) == 1
    asking.clock.advance(2)
    await asking.templates.describe(TemplateKey(FIRST_PROJECT, "welcome"))
    assert len(asking.peer.calls) == 2


async def test_what_does_not_exist_is_asked_for_again(asking: Asking) -> None:
    """An unpublished template and an unknown person may be a moment later."""
    assert await asking.templates.describe(TemplateKey(FIRST_PROJECT, "nope")) is None
    draft = await asking.templates.describe(TemplateKey(FIRST_PROJECT, "draft"))
    assert draft is not None
    assert draft.published_version == 0
    assert await asking.users.find(FIRST_PROJECT, "bob") is None
    asking.peer.published |= {"nope": 1, "draft": 1}
    asking.peer.users.add("bob")
    assert await asking.templates.describe(TemplateKey(FIRST_PROJECT, "nope")) is not None
    assert (await asking.templates.describe(TemplateKey(FIRST_PROJECT, "draft")) or draft).published_version == 1
    assert await asking.users.find(FIRST_PROJECT, "bob") == "id-of-bob"


async def test_remembered_answers_serve_while_the_peer_is_down(asking: Asking) -> None:
    assert await asking.users.find(FIRST_PROJECT, "ada") == "id-of-ada"
    assert await asking.templates.describe(TemplateKey(FIRST_PROJECT, "welcome")) is not None
    asking.peer.down = True
    asking.clock.advance(300)
    assert await asking.users.find(FIRST_PROJECT, "ada") == "id-of-ada"
    assert await asking.templates.describe(TemplateKey(FIRST_PROJECT, "welcome")) is not None
    asking.clock.advance(301)
    with pytest.raises(ServiceError) as caught:
        await asking.users.find(FIRST_PROJECT, "ada")
    assert (caught.value.reason, caught.value.retry_after_s) == ("DEPENDENCY_UNAVAILABLE", 7)


async def test_what_can_become_another_persons_is_asked_about_each_time(asking: Asking) -> None:
    """An id of the caller's own and an address move from person to person; an id of ours does not."""
    for owner in ("first", "second"):
        asking.peer.addresses["ada@example.com"] = owner
        assert await asking.users.ensure(FIRST_PROJECT, Addressee("ada@example.com")) == Reached(owner)
    assert await asking.users.find(FIRST_PROJECT, "ada") == "id-of-ada"
    asking.peer.users.clear()
    assert await asking.users.find(FIRST_PROJECT, "ada") is None
    asked = len(asking.peer.calls)
    assert await asking.users.find(FIRST_PROJECT, "second") == "second"
    assert len(asking.peer.calls) == asked


async def test_an_address_that_is_no_ones_is_found_to_be_so_and_then_made_a_user(asking: Asking) -> None:
    assert await asking.users.find_addressee(FIRST_PROJECT, Addressee("ada@example.com")) is None
    asking.peer.down = True
    with pytest.raises(Unavailable):
        await asking.users.find_addressee(FIRST_PROJECT, Addressee("ada@example.com"))
    asking.peer.down = False
    assert await asking.users.ensure(FIRST_PROJECT, Addressee("ada@example.com")) == Reached("new")
    asking.peer.down = True
    assert await asking.users.find_addressee(FIRST_PROJECT, Addressee("Ada@Example.com")) == Reached("new")


async def test_an_address_and_an_id_that_looks_like_one_are_two_people(asking: Asking) -> None:
    asking.peer.users.add("mailto:ada@example.com")
    asking.peer.addresses["ada@example.com"] = "someone-else"
    assert await asking.users.find(FIRST_PROJECT, "mailto:ada@example.com") == "id-of-mailto:ada@example.com"
    assert await asking.users.ensure(FIRST_PROJECT, Addressee("ada@example.com")) == Reached("someone-else")


async def test_an_address_is_answered_from_memory_while_the_peer_is_down(asking: Asking) -> None:
    asking.peer.addresses["ada@example.com"] = "ada"
    assert await asking.users.ensure(FIRST_PROJECT, Addressee("ada@example.com")) == Reached("ada")
    asking.peer.down = True
    assert await asking.users.ensure(FIRST_PROJECT, Addressee("Ada@Example.com")) == Reached("ada")
    asking.users.forget("ada")
    with pytest.raises(Unavailable):
        await asking.users.ensure(FIRST_PROJECT, Addressee("ada@example.com"))


async def test_an_addressee_who_is_refused_takes_no_other_one_along(asking: Asking) -> None:
    """They are of different senders, whose sends share a call."""
    results = await asyncio.gather(
        *(asking.users.ensure(FIRST_PROJECT, Addressee(f"{name}@example.com", name)) for name in ("ada", "spoilt", "bob")),
        return_exceptions=True,
    )
    assert [getattr(result, "code", result) for result in results] == [Reached("new"), Code.INVALID_ARGUMENT, Reached("new")]


async def test_a_person_is_forgotten_under_every_id(asking: Asking) -> None:
    assert await asking.users.find(FIRST_PROJECT, "ada") == "id-of-ada"
    asking.users.forget("id-of-ada")
    asking.peer.users.clear()
    assert await asking.users.find(FIRST_PROJECT, "ada") is None


async def test_a_person_who_was_deleted_is_forgotten(asking: Asking) -> None:
    assert await asking.users.find(FIRST_PROJECT, "ada") == "id-of-ada"
    asking.peer.users.clear()
    asking.clock.advance(61)
    assert await asking.users.find(FIRST_PROJECT, "ada") is None
    asking.peer.down = True
    with pytest.raises(Unavailable):
        await asking.users.find(FIRST_PROJECT, "ada")
