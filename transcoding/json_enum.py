"""The names under which an enum's values appear in JSON."""

from dataclasses import dataclass

from google.protobuf.descriptor import EnumDescriptor

NULL_VALUE = "google.protobuf.NullValue"


@dataclass(frozen=True, slots=True)
class EnumNames:
    """`by_name` holds every name that is taken in, `by_number` the one that is given out; `choices` lists the useful ones for a person.

    `open` enums take numbers without a name as well.
    """

    by_name: dict[str, int]
    by_number: dict[int, str]
    choices: tuple[str, ...]
    open: bool
    short: bool

    def find(self, name: str) -> int | None:
        """The number that a name stands for; a short name in any case."""
        number = self.by_name.get(name)
        if number is None and self.short:
            number = self.by_name.get(name.lower())
        return number

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be one of: {', '.join(self.choices)}"


def enum_names(descriptor: EnumDescriptor, *, short: bool) -> EnumNames:
    """The names of an enum; `short` takes its type's name away and turns the rest to lower case (`CHANNEL_EMAIL` is `email`)."""
    full = {value.name: value.number for value in descriptor.values}
    shown = {value.name: _short_name(descriptor.name, value.name) if short else value.name for value in descriptor.values}
    if len(set(shown.values())) < len(shown):  # two values would share a short name
        shown = {name: name for name in full}
    by_number: dict[int, str] = {}
    for name, number in full.items():
        by_number.setdefault(number, shown[name])  # the first name of an alias is the one given out
    return EnumNames(
        by_name=full | {shown[name]: number for name, number in full.items()},
        by_number=by_number,
        choices=tuple(name for number, name in by_number.items() if number or not name.upper().endswith("UNSPECIFIED")),
        open=not descriptor.is_closed and not short,
        short=short,
    )


def _short_name(enum: str, value: str) -> str:
    """The value's name without the enum's, whatever way the enum's capitals were cut into words (`HTTPMethod`, `HTTP_METHOD_GET`)."""
    at = 0
    for letter in enum.upper():
        while value[at : at + 1] == "_":
            at += 1
        if value[at : at + 1].upper() != letter:
            return value.lower()
        at += 1
    rest = value[at:]
    return rest[1:].lower() if rest.startswith("_") and len(rest) > 1 else value.lower()
