"""Facts about signing keys: kept sealed, shared by replicas, replaced without breaking tokens."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

import jwt
import pytest

from mesh.context import FIRST_PROJECT
from mesh.sealing import SealBroken, Sealer
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock
from user_svc.auth.models import SigningKey
from user_svc.auth.signing import SEALED_FOR, SigningKeys, SigningKeyStore, thumbprint

SECRET = "one secret of at least 32 characters"
OTHER_SECRET = "another secret of at least 32 characters"


def keys(stores: Stores, clock: Clock, secret: str = SECRET) -> SigningKeys:
    """One replica's view."""
    return SigningKeys(stores.signing_keys, Sealer(secret, SEALED_FOR), now=clock)


def kid_of(token: str) -> str:
    """Which key signed."""
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


async def verified(token: str, replica: SigningKeys) -> str:
    """The subject, checked against the published keys as any verifier would."""
    jwks = jwt.PyJWKSet.from_dict({"keys": await replica.jwks()})
    subject: str = jwt.decode(token, jwks[kid_of(token)], algorithms=["EdDSA"])["sub"]
    return subject


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    """The example of RFC 8037, appendix A.3."""
    public_key = jwt.utils.base64url_decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert thumbprint(public_key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


async def test_the_first_use_makes_a_key_that_stays(stores: Stores, clock: Clock) -> None:
    """Another replica, or the same after a restart, signs with it too."""
    first = await keys(stores, clock).sign({"sub": "ada"})
    second = await keys(stores, clock).sign({"sub": "eve"})
    assert kid_of(first) == kid_of(second)
    assert await verified(first, keys(stores, clock)) == "ada"


async def test_replicas_that_start_together_agree(postgres_stores: Stores, clock: Clock) -> None:
    """On PostgreSQL, where they really race."""
    replicas = [keys(postgres_stores, clock) for _ in range(6)]
    tokens = await asyncio.gather(*(replica.sign({"sub": "ada"}) for replica in replicas))
    assert len({kid_of(token) for token in tokens}) == 1
    assert len(await replicas[0].jwks()) == 1


async def test_a_rotation_keeps_old_tokens_valid(stores: Stores, clock: Clock) -> None:
    """The old key is published for an hour more, four times the life of a token, and then forgotten."""
    replica = keys(stores, clock)
    old = await replica.sign({"sub": "ada"})
    clock.advance(minutes=1)
    await replica.rotate(FIRST_PROJECT)
    clock.advance(seconds=10)
    new = await replica.sign({"sub": "ada"})
    assert kid_of(new) != kid_of(old)
    assert await verified(old, replica) == await verified(new, replica) == "ada"
    assert kid_of(await keys(stores, clock).sign({"sub": "eve"})) == kid_of(new)
    clock.advance(hours=1)
    assert [key["kid"] for key in await replica.jwks()] == [kid_of(new)]


async def test_replicas_follow_a_rotation_within_minutes(stores: Stores, clock: Clock) -> None:
    """Long before the key that they sign with is published no more."""
    one, other = keys(stores, clock), keys(stores, clock)
    old = await other.sign({"sub": "ada"})
    clock.advance(seconds=1)
    await one.rotate(FIRST_PROJECT)
    assert kid_of(await other.sign({"sub": "ada"})) == kid_of(old)
    clock.advance(minutes=5)
    await other.sign({"sub": "ada"})  # it finds the new key, and waits as the first one did
    clock.advance(seconds=10)
    assert kid_of(await other.sign({"sub": "ada"})) == kid_of(await one.sign({"sub": "ada"})) != kid_of(old)


async def test_a_new_key_is_published_before_it_signs(stores: Stores, clock: Clock) -> None:
    """Longer than who verifies tokens goes without asking for new keys; each of several in turn."""
    replica = keys(stores, clock)
    old = kid_of(await replica.sign({"sub": "ada"}))
    made = [old]
    for _ in range(2):
        clock.advance(seconds=6)
        made.append(await replica.rotate(FIRST_PROJECT))
        assert made[-1] in [key["kid"] for key in await replica.jwks()]
    signed = []
    for _ in range(4):
        signed.append(kid_of(await replica.sign({"sub": "ada"})))
        clock.advance(seconds=4)
    assert signed == [made[0], made[1], made[1], made[2]]


async def test_no_rotation_is_undone_by_what_was_read_before_it(memory_stores: Stores, clock: Clock) -> None:
    """A replica that looks for the active key while it rotates signs with the new one from then on."""
    store = _Slow(memory_stores.signing_keys)
    replica = SigningKeys(store, Sealer(SECRET, SEALED_FOR), now=clock)
    await replica.ensure()
    clock.advance(minutes=5)
    store.goes_on.clear()
    looking = asyncio.create_task(replica.ensure())
    await store.has_read.wait()
    rotating = asyncio.create_task(replica.rotate(FIRST_PROJECT))
    for _ in range(20):
        await asyncio.sleep(0)
    store.goes_on.set()
    await looking
    new = await rotating
    clock.advance(minutes=1)
    assert kid_of(await replica.sign({"sub": "ada"})) == new


class _Slow:
    """A store whose first answer, when `goes_on` is not set, comes once it is."""

    def __init__(self, store: SigningKeyStore) -> None:
        self._store = store
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def find_active(self) -> SigningKey | None:
        found = await self._store.find_active()
        if not self.goes_on.is_set() and not self.has_read.is_set():
            self.has_read.set()
            await self.goes_on.wait()
        return found

    async def activate(self, key: SigningKey, *, instead_of: str | None, note_in: str | None = None) -> SigningKey:
        return await self._store.activate(key, instead_of=instead_of, note_in=note_in)

    async def list_published(self, retired_since: datetime) -> Sequence[SigningKey]:
        return await self._store.list_published(retired_since)


async def test_private_keys_are_sealed_at_rest(stores: Stores, clock: Clock) -> None:
    """With another secret, or under another id, they can't be opened."""
    await keys(stores, clock).ensure()
    active = await stores.signing_keys.find_active()
    assert active is not None
    private_key = Sealer(SECRET, SEALED_FOR).open(active.sealed_private_key, active.kid)
    assert private_key not in active.sealed_private_key
    for secret, kid in ((OTHER_SECRET, active.kid), (SECRET, "another id")):
        with pytest.raises(SealBroken):
            Sealer(secret, SEALED_FOR).open(active.sealed_private_key, kid)


async def test_a_changed_secret_brings_a_new_key(stores: Stores, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens of the old key stay valid, and the log says what happened."""
    old = await keys(stores, clock).sign({"sub": "ada"})
    clock.advance(minutes=1)
    changed = keys(stores, clock, OTHER_SECRET)
    with caplog.at_level(logging.WARNING):
        new = await changed.sign({"sub": "ada"})
    assert kid_of(new) != kid_of(old)
    assert await verified(old, changed) == "ada"
    assert "sealed under another secret" in caplog.text


async def test_only_public_halves_are_published(stores: Stores, clock: Clock) -> None:
    """Exactly the members that RFC 8037 and RFC 7517 name."""
    replica = keys(stores, clock)
    await replica.ensure()
    (key,) = await replica.jwks()
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
