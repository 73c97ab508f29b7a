"""Time zones: the IANA name, under whichever of its names and in whichever case it was written."""

from functools import cache
from importlib import resources

from mesh.errors import InvalidArgument

_UTC = "UTC"


def check_time_zone(field: str, value: str) -> str:
    """The zone's present name: `asia/calcutta` is `Asia/Kolkata`, `Etc/GMT` and `Zulu` are `UTC`. Raises InvalidArgument."""
    name = _names().get(value.casefold())
    if name is None:
        raise InvalidArgument.of(field, "is not a known time zone; give an IANA name such as Europe/Paris or UTC")
    return name


@cache
def _names() -> dict[str, str]:
    """Present names by the case-folded form of every name. Read once: it takes tens of milliseconds and changes with the package only."""
    links = _links()
    # the package's, and not those of this machine, whose `localtime` is another zone on the next one; no clock shows `Factory`
    zones = (resources.files("tzdata") / "zones").read_text().split()
    return {name.casefold(): _present(name, links) for name in zones if name != "Factory"}


def _present(name: str, links: dict[str, str]) -> str:
    target = name
    while target in links:
        target = links[target]
    return _UTC if target in {"Etc/UTC", "Etc/GMT"} else target


def _links() -> dict[str, str]:
    """Old names and what they stand for.

    The database also links zones of neighbours whose clocks have agreed since 1970, such as Stockholm's to Berlin's. `zone.tab` lists the
    names that are a country's own: those stay, since the neighbours may part again.
    """
    folder = resources.files("tzdata") / "zoneinfo"
    lines = [line.split("\t") for line in (folder / "zone.tab").read_text().splitlines() if not line.startswith("#")]
    own = {columns[2] for columns in lines}
    records = [line.split(" ") for line in (folder / "tzdata.zi").read_text().splitlines() if line.startswith("L ")]
    return {record[2]: record[1] for record in records if record[2] not in own}
