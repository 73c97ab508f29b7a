"""Who of many people can be written together although some ask for addresses that others have."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from user_svc.users.models import UserChanges


class Sorted(NamedTuple):
    """People by what stands in the way of their address: nothing, another one of them, or someone else."""

    free: list[UserChanges]
    waiting: list[UserChanges]
    refused: list[UserChanges]


def sort_out(people: Sequence[UserChanges], holders: Mapping[str, str]) -> Sorted:
    """`holders` are external ids of who has the address that a person asks for, by that person's; empty for who has none.

    Who asks for what another one of them has, or asks for too, waits: once those are written it is free, or someone else's.
    """
    asking = {person.external_id or "" for person in people}
    found, claimed = Sorted([], [], []), set[str]()
    for person in people:
        holder, key = holders.get(person.external_id or ""), (person.email or "").lower()
        if holder is not None and holder not in asking:
            found.refused.append(person)
        elif holder is not None or key in claimed:
            found.waiting.append(person)
        else:
            found.free.append(person)
            claimed |= {key} - {""}
    return found
