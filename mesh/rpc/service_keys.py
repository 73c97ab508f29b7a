"""The Ed25519 keys by which the services of the mesh know each other: each has its own private key and everyone's public ones.

`python -m mesh.rpc.service_keys gateway user_svc ...` makes new ones and prints them as shell variables:
GATEWAY_SERVICE_KEY and so on for each CLARION_SERVICE_KEY, and SERVICE_PUBLIC_KEYS for CLARION_SERVICE_PUBLIC_KEYS.
"""

import base64
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mesh.process.settings import CommonSettings, SettingsError

_KEY_BYTES = 32


class ServiceKeys:
    """One service's private key, and the public keys of all by key id (the public key itself, base64url)."""

    def __init__(self, private_key: Ed25519PrivateKey, services: Mapping[str, str]) -> None:
        self.private_key = private_key
        self.key_id = _text(private_key.public_key().public_bytes_raw())
        self._services = services

    @classmethod
    def read(cls, private_key: str, public_keys: str) -> Self:
        """From settings: a private key, and `service=public key` with commas between them, perhaps several of one service.

        Raises ValueError, which repeats no key.
        """
        services: dict[str, str] = {}
        for entry in filter(None, (part.strip() for part in public_keys.split(","))):
            service, _, key = entry.partition("=")
            services[_text(_bytes(key))] = service.strip()
        keys = cls(Ed25519PrivateKey.from_private_bytes(_bytes(private_key)), services)
        if keys.key_id not in services:
            raise ValueError("the private key's own public key is not among the public ones")
        return keys

    @classmethod
    def from_settings(cls, service: str, common: CommonSettings) -> "ServiceKeys":
        """What the environment gave. Raises SettingsError when it is not a set of keys."""
        if not common.service_key:
            return cls.derived(service, common.service_secret)
        try:
            return cls.read(common.service_key, common.service_public_keys)
        except ValueError as error:
            raise SettingsError([f"CLARION_SERVICE_KEY, CLARION_SERVICE_PUBLIC_KEYS: {error}"]) from None

    @classmethod
    def derived(cls, service: str, secret: str) -> "DerivedServiceKeys":
        """From one secret that all processes share: for development, where each process may as well be any other."""
        return DerivedServiceKeys(service, secret)

    def public_key(self, key_id: str, service: str) -> Ed25519PublicKey | None:
        """The key with the id when it is the service's, or None."""
        if self._services.get(key_id) != service:
            return None
        return Ed25519PublicKey.from_public_bytes(_bytes(key_id))


class DerivedServiceKeys(ServiceKeys):
    """Every service's key from one secret (HKDF, RFC 5869)."""

    def __init__(self, service: str, secret: str) -> None:
        super().__init__(_derive(secret, service), {})
        self._secret = secret

    def public_key(self, key_id: str, service: str) -> Ed25519PublicKey | None:
        """The key with the id when it is the service's, or None."""
        public = _derive(self._secret, service).public_key()
        return public if _text(public.public_bytes_raw()) == key_id else None


@lru_cache(maxsize=64)
def _derive(secret: str, service: str) -> Ed25519PrivateKey:
    seed = HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=b"clarion service identity v1 " + service.encode()).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    key = base64.urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
    if len(key) != _KEY_BYTES:
        raise ValueError("a key has 32 bytes, base64url")
    return key


def generate(services: Iterable[str]) -> Iterable[str]:
    """Shell assignments with a new private key per service, and the public keys of all."""
    made = {service: Ed25519PrivateKey.generate() for service in services}
    for service, key in made.items():
        yield f"{service.upper()}_SERVICE_KEY={_text(key.private_bytes_raw())}"
    public = ",".join(f"{service}={_text(key.public_key().public_bytes_raw())}" for service, key in made.items())
    yield f"SERVICE_PUBLIC_KEYS={public}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m mesh.rpc.service_keys SERVICE ...")
    print("\n".join(generate(sys.argv[1:])))  # noqa: T201  the program's output
