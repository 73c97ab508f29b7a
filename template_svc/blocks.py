"""A push content's blocks per platform: their texts found, and put back where they were."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

PLATFORMS = ("android", "apns", "webpush")


def texts_of(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string in a block with its path, such as `apns.payload.aps.badge`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from texts_of(member, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from texts_of(member, f"{path}[{index}]")


def with_texts(value: Any, path: str, text_at: Callable[[str], str]) -> Any:
    """The block with each string replaced by the one for its path."""
    if isinstance(value, str):
        return text_at(path)
    if isinstance(value, Mapping):
        return {key: with_texts(member, f"{path}.{key}", text_at) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(member, f"{path}[{index}]", text_at) for index, member in enumerate(value)]
    return value
