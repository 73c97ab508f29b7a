"""Facts about signing keys: kept sealed, shared by replicas, replaced without breaking tokens."""

import asyncio
import logging

import jwt
import pytest

from mesh.sealing import SealBroken, Sealer
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock
from user_svc.auth.signing import SEALED_FOR, SigningKeys, thumbprint

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
    await replica.rotate()
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
    await one.rotate()
    assert kid_of(await other.sign({"sub": "ada"})) == kid_of(old)
    clock.advance(minutes=5)
    assert kid_of(await other.sign({"sub": "ada"})) == kid_of(await one.sign({"sub": "ada"})) != kid_of(old)


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
