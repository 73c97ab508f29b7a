"""How many examples a property test tries that names a number of its own."""

from hypothesis import settings

_FAST = "fast"


def examples(number: int) -> int:
    """So many in `make test`, at most as many as any other test tries in `make test-fast`."""
    if settings.get_current_profile_name() != _FAST:
        return number
    return min(number, settings.get_profile(_FAST).max_examples)
