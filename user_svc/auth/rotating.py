"""The keys that sign access tokens, as callers see them: what verifies tokens, and rotation, which is on record."""

from collections.abc import Sequence
from typing import Any

from mesh.context import Caller
from user_svc.auth.signing import SigningKeys


class SigningKeyRotation:
    """That only who looks after the installation rotates is the policy of the method."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def jwks(self) -> Sequence[dict[str, Any]]:
        """The public keys that verify tokens, as JWK dictionaries (RFC 8037)."""
        return await self._keys.jwks()

    async def rotate(self, caller: Caller) -> str:
        """The id of the key that signs from now on, once who verifies tokens can know it."""
        return await self._keys.rotate(caller.project)
