"""Facts about sending to a device: it is named by our id from then on, and its token shows nowhere."""

import pytest

from clarion.delivery.v1.delivery_pb2 import Delivery
from gateway.accepting.models import Addressee
from gateway.notifications.models import Channel
from mesh.errors import InvalidArgument
from tests.gateway.test_sending import ADDRESSEE, World, call, draft, world

__all__ = ["call", "world"]

DEVICE = Addressee(device_token="token-of-a-phone", locale="de")


async def test_a_push_to_a_device_is_for_that_one_and_shows_no_token(world: World) -> None:
    world.templates.known["welcome"] = world.templates.known["welcome"]._replace(channel=Channel.PUSH)
    await world.sender.send(draft(user_id="", to=DEVICE, channel=Channel.PUSH), None)
    (row,) = world.store.rows
    delivery = Delivery.FromString(row.payload)
    assert (list(delivery.device_ids), world.users.made) == (["01890000-0000-7000-8000-0000000000dd"], [DEVICE])
    assert b"token-of-a-phone" not in row.payload
    assert "token-of-a-phone" not in "".join(ask.recipient for ask in world.gate.asked)


@pytest.mark.parametrize(
    ("to", "channel"),
    [
        (DEVICE, Channel.EMAIL),
        (ADDRESSEE, Channel.PUSH),
        (DEVICE._replace(email="ada@example.com"), Channel.PUSH),
        (DEVICE._replace(email="ada@example.com"), Channel.EMAIL),
    ],
)
async def test_an_addressee_fits_the_channel(world: World, to: Addressee, channel: Channel) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await world.sender.send(draft(user_id="", to=to, channel=channel), None)
    assert caught.value.violations[0].field in {"to", "to.device_token"}
    assert (world.users.made, world.store.rows) == ([], [])
