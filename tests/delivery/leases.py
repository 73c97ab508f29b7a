"""The end of a claim's lease without waiting for it: as after a worker's death, or a freeze that it does not notice."""

from typing import cast

from redis.asyncio import Redis

from delivery.ledger import PREFIX
from delivery.ledger_script import TOKEN_LENGTH
from delivery.models import Claim


async def run_out(redis: Redis, claim: Claim) -> None:
    """Ends the lease at the beginning of time. Does nothing where the attempt is another claim's, or recorded."""
    name = PREFIX + claim.key
    entry = cast(bytes | None, await redis.get(name)) or b""
    if claim.token.encode() in entry[: 1 + TOKEN_LENGTH]:
        await redis.set(name, entry[: 1 + TOKEN_LENGTH] + b"0")


async def lease_end_ms(redis: Redis, claim: Claim) -> int:
    """When the lease ends, in Redis's time."""
    entry = cast(bytes | None, await redis.get(PREFIX + claim.key)) or b""
    return int(entry[1 + TOKEN_LENGTH :])
