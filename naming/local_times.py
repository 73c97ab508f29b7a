"""Times as a clock on the wall shows them, which are a moment only with a time zone."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from mesh.errors import InvalidArgument

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DATED = re.compile(r"\d{4}-\d\d-\d\dT" + _CLOCK.pattern + r"(:[0-5]\d)?")


class LocalTime(NamedTuple):
    """A date and a time of day; without a date it is whenever the clock shows that time next."""

    dated: datetime | None
    clock: time

    def moment(self, zone: str, now: datetime) -> datetime:
        """When that is in a zone, in UTC.

        A time that clocks skip is as much later as they skip: 02:30 is 03:30 then. Of one that they show twice it is the first.
        """
        here = ZoneInfo(zone)
        if self.dated is not None:
            return self.dated.replace(tzinfo=here).astimezone(UTC)
        today = now.astimezone(here).date()
        days = (datetime.combine(today + timedelta(days=later), self.clock, here).astimezone(UTC) for later in (0, 1, 2))
        return next(moment for moment in days if moment > now)


def local_time_of(field: str, text: str) -> LocalTime:
    """`09:00`, or `2030-01-31T09:00` with or without seconds (ISO 8601 without a zone). Raises InvalidArgument."""
    if _CLOCK.fullmatch(text):
        return LocalTime(None, time.fromisoformat(text))
    if _DATED.fullmatch(text):
        try:
            dated = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidArgument.of(field, "names a day that there is not") from None
        # within a day of either end there is no such moment in every zone
        if 1 < dated.year < 9999:
            return LocalTime(dated, dated.time())
    raise InvalidArgument.of(field, 'must be a time of day such as "09:00", or a local time such as "2030-01-31T09:00", without a zone')
