"""What rendering has at hand, and what it gives up first."""

from collections.abc import Mapping, Sequence

from mesh.context import FIRST_PROJECT
from template_svc.library import Library
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
