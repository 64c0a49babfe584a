"""When a cron fires: schedules of five or six fields, aliases, and time zones with daylight saving (spec 12).

The sixth field, at the end, is for seconds. At changes of the clock the rules of Debian's cron hold, for six fields as for five:
a schedule whose minute and hour are fixed means the wall clock. A slot in the hour that is left out is made up for right after
it, and one in the hour that comes twice fires the first time only. Other schedules (``*/5``, ``* * * * *``) follow the time
that really passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct

from waystation.errors import UnprocessableInput
from waystation.timestamps import MICROSECONDS

__all__ = ["Schedule"]

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

LONGEST = 250
"""Characters of a schedule: what is longer is a mistake, and would take long to evaluate."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Schedule(Struct, frozen=True):
    """The slots of a cron."""

    expression: str
    """Six fields, the seconds first, as cronsim wants them."""
    zone: tzinfo
    by_wall_clock: bool
    """Whether minute and hour are fixed."""

    @classmethod
    def parse(cls, text: str, timezone: str | None = None) -> Schedule:
        """The schedule `text` in the IANA time zone `timezone`, or in UTC. Raises UnprocessableInput."""
        fields = ALIASES.get(text.strip().lower(), text).replace("?", "*").split()
        if len(text) > LONGEST or len(fields) not in (5, 6):
            raise UnprocessableInput(
                f"Invalid schedule {text[:LONGEST]!r}: it must have five fields (minute, hour, day of month, month, day of "
                f"week), or six with seconds at the end, or be one of {', '.join(ALIASES)}."
            )
        second = fields.pop() if len(fields) == 6 else "0"
        schedule = cls(" ".join([second, *fields]), _zone(timezone), not any(f.startswith("*") for f in fields[:2]))
        try:
            schedule.next_after(0)
        except (CronSimError, ValueError) as error:
            raise UnprocessableInput(f"Invalid schedule {text!r}: {error}.") from None
        return schedule

    def next_after(self, us: int) -> int:
        """The first slot after `us`, both in microseconds since the epoch. Raises ValueError when there is none within fifty
        years."""
        after = _EPOCH + timedelta(microseconds=us)
        for slot in self._slots(after.astimezone(self.zone)):
            if slot > after:  # the first pass through an hour that comes twice may be over
                return (slot.astimezone(UTC) - _EPOCH) // timedelta(seconds=1) * MICROSECONDS
        raise ValueError("it names no moment that ever comes")

    def _slots(self, local: datetime) -> Iterator[datetime]:
        if not self.by_wall_clock:
            yield from CronSim(self.expression, local)
            return
        for wall in CronSim(self.expression, local.replace(tzinfo=None)):
            yield _moment(wall, self.zone)


def _moment(wall: datetime, zone: tzinfo) -> datetime:
    """When the clocks of `zone` show `wall`: for the first time, or, if they never do, when they have been put forward."""
    while True:
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            return moment
        wall = wall.replace(second=0) + timedelta(minutes=1)


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UnprocessableInput(
            f"Invalid timezone {name[:100]!r}: it must be the name of a zone of the IANA database, like Europe/Paris."
        ) from None
