"""One poll for all watchers of a process."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from uuid import UUID

from gateway.notifications.watchers import ChangePoll, Watchers
from mesh.ids import new_uuid


class Store:
    """Revisions by hand; counts the queries."""

    def __init__(self) -> None:
        self.now: dict[UUID, Hashable] = {}
        self.queries = 0

    async def revisions(self, identifiers: Sequence[UUID]) -> Mapping[UUID, Hashable]:
        self.queries += 1
        return {identifier: self.now[identifier] for identifier in identifiers if identifier in self.now}


async def test_all_watchers_of_a_process_cost_one_query() -> None:
    """However many watch, and however many of them watch the same."""
    store, watchers = Store(), Watchers()
    changes = ChangePoll(store, watchers)
    ids = [new_uuid() for _ in range(100)]
    with ExitStack() as stack:
        for identifier in ids * 10:
            stack.enter_context(watchers.watch(identifier))
        await changes.poll()
        assert store.queries == 1
    await changes.poll()
    assert store.queries == 1, "nothing is asked when nothing is watched"


async def test_a_change_wakes_those_who_watch_it_and_no_others() -> None:
    store, watchers = Store(), Watchers()
    changes = ChangePoll(store, watchers)
    one, other = new_uuid(), new_uuid()
    store.now = {one: 1, other: 1}
    with watchers.watch(one) as first, watchers.watch(other) as second:
        await changes.poll()
        assert first.is_set(), "it may have changed between the watcher's read and the first poll"
        first.clear()
        second.clear()
        await changes.poll()
        assert (first.is_set(), second.is_set()) == (False, False)
        store.now[one] = 2
        await changes.poll()
        assert (first.is_set(), second.is_set()) == (True, False)
        second.clear()
        del store.now[other]
        await changes.poll()
        assert second.is_set(), "what is deleted has changed too"
