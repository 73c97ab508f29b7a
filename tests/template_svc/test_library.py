"""What rendering has at hand, and what it gives up first."""

from collections.abc import Mapping, Sequence

from mesh.context import FIRST_PROJECT
from template_svc.library import MIN_WEIGHT, Library, LruCache
from template_svc.models import Channel, Content, StoredVersion, TemplateKey, VersionKey
from tests.template_svc.factories import EMAIL

KEY = VersionKey(FIRST_PROJECT, "welcome", 1)


class Shelf:
    """A store with versions of any name; remembers what it was asked."""

    def __init__(self, contents: Mapping[str, Content] | None = None) -> None:
        self.asked: list[list[VersionKey]] = []
        self._contents = contents or {"en": EMAIL}

    async def load(self, keys: Sequence[VersionKey]) -> Mapping[VersionKey, StoredVersion]:
        self.asked.append(sorted(keys))
        return {key: StoredVersion(Channel.EMAIL, "en", self._contents, ()) for key in keys if key.template != "none"}


def test_the_least_used_goes_first() -> None:
    cache: LruCache[str, int] = LruCache(3 * MIN_WEIGHT)
    for number, key in enumerate("abc"):
        cache.put(key, number, 1)
    assert cache.find("a") == 0
    cache.put("d", 3, 1)
    assert (cache.find("b"), cache.kept()) == (None, ["c", "a", "d"])


def test_a_heavy_entry_drives_out_many_and_is_still_kept() -> None:
    cache: LruCache[str, int] = LruCache(3 * MIN_WEIGHT)
    for key in "abc":
        cache.put(key, 0, 1)
    cache.put("d", 1, 10 * MIN_WEIGHT)
    assert cache.kept() == ["d"]
    cache.put("d", 2, 1)
    cache.put("e", 3, 1)
    assert cache.kept() == ["d", "e"]


async def test_a_version_is_read_once_and_the_missing_ones_with_one_question() -> None:
    shelf = Shelf()
    library = Library(shelf)
    other = VersionKey(FIRST_PROJECT, "other", 2)
    assert set(await library.find([KEY, VersionKey(FIRST_PROJECT, "none", 1)])) == {KEY}
    assert set(await library.find([KEY, other])) == {KEY, other}
    await library.find([KEY, other])
    assert shelf.asked == [[VersionKey(FIRST_PROJECT, "none", 1), KEY], [other]]


async def test_a_deleted_template_is_forgotten() -> None:
    shelf = Shelf()
    library = Library(shelf)
    await library.find([KEY])
    library.forget(TemplateKey(FIRST_PROJECT, "welcome"))
    await library.find([KEY])
    assert len(shelf.asked) == 2


async def test_any_number_of_senseless_locales_finds_the_default() -> None:
    version = (await Library(Shelf({"en": EMAIL, "pt": EMAIL})).find([KEY]))[KEY]
    assert {version.choose(f"x{number}").locale for number in range(3000)} == {"en"}
    assert version.choose("pt-BR") == version.choose("pt-BR") == ("pt", "pt-BR", ("pt-BR", "pt"))
