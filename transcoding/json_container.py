"""Lists and maps of the proto3 JSON mapping, on the way in."""

from collections.abc import Callable
from typing import Any

from transcoding.json_scalar import BAD_TEXT, MAX_PROBLEMS, NO_NULL, BadValue, Convert

Fill = Callable[[Any, Any, int], None]  # (message, JSON value, how many messages deep the message lies)


def list_of_scalars(name: str, read: Convert, *, null: bool) -> Fill:
    """Sets a repeated scalar; `null` is an element where the flag says so."""

    def put_one(target: Any, item: Any, _depth: int) -> None:
        target.append(read(item))

    return _list(name, put_one, null=null)


def list_of_messages(name: str, fill: Fill, *, null: bool) -> Fill:
    """Sets a repeated message."""

    def put_one(target: Any, item: Any, depth: int) -> None:
        fill(target.add(), item, depth + 1)

    return _list(name, put_one, null=null)


def map_of_scalars(name: str, read_key: Convert, read: Convert, *, null: bool) -> Fill:
    """Sets a map to scalars."""

    def put_one(target: Any, key: str, item: Any, _depth: int) -> None:
        target[read_key(key)] = read(item)

    return _map(name, put_one, null=null)


def map_of_messages(name: str, read_key: Convert, fill: Fill, *, null: bool) -> Fill:
    """Sets a map to messages; the map's entry is a message as well."""

    def put_one(target: Any, key: str, item: Any, depth: int) -> None:
        fill(target[read_key(key)], item, depth + 2)

    return _map(name, put_one, null=null)


def _list(name: str, put_one: Fill, *, null: bool) -> Fill:
    def put(message: Any, value: Any, depth: int) -> None:
        if type(value) is not list:
            raise BadValue("must be a list")
        target = getattr(message, name)
        problems: list[tuple[str, str]] = []
        for index, item in enumerate(value):
            try:
                if item is None and not null:
                    raise BadValue(NO_NULL)
                put_one(target, item, depth)
            except BadValue as bad:
                problems += bad.under(f"[{index}]")
                if len(problems) >= MAX_PROBLEMS:
                    break
            except UnicodeEncodeError:
                problems += BadValue(BAD_TEXT).under(f"[{index}]")
        if problems:
            raise BadValue.of(problems)

    return put


def _map(name: str, put_one: Callable[[Any, str, Any, int], None], *, null: bool) -> Fill:
    def put(message: Any, value: Any, depth: int) -> None:
        if type(value) is not dict:
            raise BadValue("must be an object")
        target = getattr(message, name)
        problems: list[tuple[str, str]] = []
        for key, item in value.items():
            try:
                if item is None and not null:
                    raise BadValue(NO_NULL)
                put_one(target, key, item, depth)
            except BadValue as bad:
                problems += bad.under(key)
                if len(problems) >= MAX_PROBLEMS:
                    break
            except UnicodeEncodeError:
                problems += BadValue(BAD_TEXT).under(key)
        if problems:
            raise BadValue.of(problems)

    return put
