"""Captured messages in Redis, where the workers put them and the gateway reads them. Kept for a day."""

import logging
from collections.abc import Awaitable
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from clarion.notification.v1.captured_message_pb2 import CapturedMessage
from mesh.errors import Unavailable

log = logging.getLogger(__name__)

KEPT_S = 24 * 3600
_MESSAGE = "clarion:captured:"
_OF_USER = "clarion:captured-of:"


class CapturesUnavailable(Unavailable):
    """Redis is away."""

    reason = "CAPTURES_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("captured messages can't be read at the moment", retry_after_s=1)


class Captures:
    """Implements `delivery.sandbox.CaptureStore`, and reads and erases."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, user_id: str, message: CapturedMessage) -> None:
        """Replaces what an earlier attempt left."""
        try:
            # the way to find it first: what is kept can then always be erased
            await self._redis.sadd(_OF_USER + user_id, message.notification_id)
            await self._redis.expire(_OF_USER + user_id, KEPT_S)
            await self._redis.set(_MESSAGE + message.notification_id, message.SerializeToString(), ex=KEPT_S)
        except (RedisError, OSError) as error:
            log.warning("a captured message is not kept", extra={"error": type(error).__name__})

    async def find(self, notification_id: str) -> CapturedMessage | None:
        """Raises CapturesUnavailable."""
        try:
            found = cast("bytes | None", await self._redis.get(_MESSAGE + notification_id))
        except (RedisError, OSError):
            raise CapturesUnavailable from None
        return None if found is None else CapturedMessage.FromString(found)

    async def forget(self, user_id: str) -> None:
        """Removes all messages to a person. Raises CapturesUnavailable."""
        try:
            names = await cast("Awaitable[set[bytes]]", self._redis.smembers(_OF_USER + user_id))
            await self._redis.delete(_OF_USER + user_id, *(_MESSAGE + name.decode() for name in names))
        except (RedisError, OSError):
            raise CapturesUnavailable from None
