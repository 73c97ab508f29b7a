"""Quiet hours: a time of the day at which what is not urgent waits. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from mesh.errors import InvalidArgument

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to before `end` by the clock on a person's wall; over midnight where `end` is not later. OFF has neither."""

    start: time
    end: time

    def __str__(self) -> str:
        return "off" if self == OFF else f"{self.start:%H:%M}-{self.end:%H:%M}"

    def hold(self, local: time) -> bool:
        """Whether it is quiet at this time of the day."""
        if self.start < self.end:
            return self.start <= local < self.end
        return self != OFF and (local >= self.start or local < self.end)

    def wait(self, now: datetime, zone: str) -> timedelta:
        """How long it stays quiet for somewhere in the IANA zone `zone`; nothing when it is not quiet.

        What decides is the clock on the wall. Where clocks are put forward over `end`, it ends with that; where they are put back from
        quiet hours to a time before them, it is quiet on to `end`.
        """
        here = ZoneInfo(zone)
        if not self.hold(now.astimezone(here).time()):
            return timedelta()
        today = now.astimezone(here).date()
        ends = (moment for day in range(3) for moment in _moments(datetime.combine(today + day * _DAY, self.end), zone))
        return min(moment for moment in ends if moment > now and not self.hold(moment.astimezone(here).time())) - now


# One whole day or nothing can't be quiet hours, so that equal ends are free to mean none.
OFF = QuietHours(time(), time())


@lru_cache(maxsize=1024)
def parse_quiet_hours(text: str) -> QuietHours:
    """What `str` wrote."""
    if text == "off":
        return OFF
    start, _, end = text.partition("-")
    return QuietHours(time.fromisoformat(start), time.fromisoformat(end))


def quiet_hours_of(field: str, *, start: str, end: str, off: bool) -> QuietHours:
    """What a caller has written. Raises InvalidArgument."""
    if off:
        if start or end:
            raise InvalidArgument.of(field, "has either off, or start and end")
        return OFF
    if not (start and end) or start == end:
        raise InvalidArgument.of(field, "needs a start and an end that differ, or off")
    return QuietHours(time.fromisoformat(start), time.fromisoformat(end))


@lru_cache(maxsize=16384)
def _moments(local: datetime, zone: str) -> tuple[datetime, ...]:
    """When a wall clock shows this: once or twice; where it skips it, the moment of the skip."""
    here = ZoneInfo(zone)
    first, second = (local.replace(fold=fold, tzinfo=here).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return (first, second) if first < second else (first,)
    # in a gap, PEP 495 has them around the skip, the later one first
    before, after = second, first
    offset = before.astimezone(here).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(here).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return (after.replace(microsecond=0),)
