"""What a cache gives up first."""

from mesh.resilience.lru_cache import MIN_WEIGHT, LruCache


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
