"""The versions that rendering has at hand: read from the store once, the least used given up first."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from mesh.resilience.lru_cache import LruCache
from naming import locales
from template_svc.built_in import VERSIONS
from template_svc.models import StoredVersion, TemplateKey, TextSize, VersionKey
from template_svc.sizes import size_of_text

# Characters of source that are kept; Python takes some 2 bytes for each.
MAX_STORED = 8_000_000
MAX_CHOICES = 1000


class VersionStore(Protocol):
    """Where versions are read from."""

    async def load(self, keys: Sequence[VersionKey]) -> Mapping[VersionKey, StoredVersion]:
        """Those of the versions that exist."""
        ...


class Choice(NamedTuple):
    """Which content serves a person: its locale, the one that values are written in, and the locales that were looked for before it."""

    locale: str
    formats: str
    chain: tuple[str, ...]


class LoadedVersion:
    """A version and the locales that were chosen from it so far."""

    __slots__ = ("_choices", "_size", "stored")

    def __init__(self, stored: StoredVersion) -> None:
        self.stored = stored
        self._size: TextSize | None = None
        self._choices: dict[str, Choice] = {}

    def choose(self, requested: str) -> Choice:
        """What this version has for a person of the locale `requested`; the template's default for an empty or senseless one."""
        choice = self._choices.get(requested)
        if choice is None:
            chosen = locales.choose(requested, self.stored.contents, self.stored.default_locale)
            choice = Choice(chosen, locales.format_locale(requested, chosen), locales.chain(requested, chosen))
            if len(self._choices) >= MAX_CHOICES:  # senders may make up any number of tags
                self._choices.clear()
            self._choices[requested] = choice
        return choice

    @property
    def size(self) -> TextSize:
        """What bounds the size of its texts."""
        if self._size is None:
            self._size = size_of_text(self.stored.contents.values(), self.stored.channel)
        return self._size


_BUILT_IN = {name: LoadedVersion(stored) for name, stored in VERSIONS.items()}


class Library:
    """Caches without expiry, since a version never changes and its number is never given to another text."""

    def __init__(self, store: VersionStore, *, max_stored: int = MAX_STORED) -> None:
        self._store = store
        self._versions: LruCache[VersionKey, LoadedVersion] = LruCache(max_stored)

    async def find(self, keys: Collection[VersionKey]) -> dict[VersionKey, LoadedVersion]:
        """Those of the versions that exist; what is not at hand is read with one question to the store."""
        found: dict[VersionKey, LoadedVersion] = {}
        unknown: list[VersionKey] = []
        for key in keys:
            version = _BUILT_IN.get(key.template) or self._versions.find(key)
            if version is None:
                unknown.append(key)
            else:
                found[key] = version
        if unknown:
            for key, stored in (await self._store.load(unknown)).items():
                found[key] = version = LoadedVersion(stored)
                self._versions.put(key, version, sum(content.size for content in stored.contents.values()))
        return found

    def forget(self, template: TemplateKey) -> None:
        """Drops what is at hand of a deleted template."""
        for key in self._versions.kept():
            if key.of == template:
                self._versions.drop(key)
