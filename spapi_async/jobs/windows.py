"""When messages may be sent: hours of the buyer's day, and so many a day. Pure but for the time zones that are read.

Everything goes by what a clock on the wall shows. So where clocks are set, hours that they skip are not there, hours
that they show twice count twice, and a day has 23 or 25 hours.
"""

from __future__ import annotations

import difflib
import math
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import attrs

from ..errors import ConfigError
from ..marketplaces import Marketplace, Region

__all__ = ["HORIZON", "Windows"]

_FORM = re.compile(r"\s*([0-9]{1,2})(?::([0-9]{2}))?\s*[-–]\s*([0-9]{1,2})(?::([0-9]{2}))?\s*")
_DAY = timedelta(days=1)
HORIZON = 36_525 * _DAY
"""A century: how far `Windows.ends` looks."""
_NEVER = datetime.max.replace(tzinfo=UTC)


def _check_between(_: object, __: attrs.Attribute[tuple[time, time] | None], value: object) -> None:
    if value is None:
        return
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(edge, time) for edge in value)):
        raise ConfigError('between= is two times; Windows.parse("09:00-20:00", …) reads text')
    if any(edge.tzinfo for edge in value):
        raise ConfigError("the two times of between= are local ones, without a zone; zone= has that")
    if value[0] == value[1]:
        raise ConfigError(
            f"between {value[0]:%H:%M} and {value[1]:%H:%M} there is nothing; leave it out to send at any time"
        )


def _check_zone(_: object, __: attrs.Attribute[ZoneInfo | None], value: object) -> None:
    if not isinstance(value, ZoneInfo | None):
        raise ConfigError("zone= is a ZoneInfo, as in ZoneInfo('Europe/Berlin'), or None for that of each marketplace")


def _check_most(_: object, __: attrs.Attribute[int | None], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError("max_per_day= is a whole number")
    if value < 1:
        raise ConfigError(f"at most {value} messages a day would be none; give a number from 1 on")


@attrs.frozen(kw_only=True)
class Windows:
    """When the messages of a job may be sent. Without arguments: at any time.

    Args:
        between: The hours of each day, local times: the first is included, the second is not. They may run over
            midnight, as from 22:00 to 6:00. Default: all.
        zone: The time zone of `between` and of the day. None, the default: each row goes by its marketplace's
            (`Marketplace.timezone`), and the day is that of UTC.
        max_per_day: The most messages of one selling partner and kind in a day, which begins at midnight, by all jobs
            of the journal. Default: no limit.

    Raises:
        ConfigError: An argument is of the wrong type, the two times are the same, `max_per_day` is below 1, or there
            are no time zones on this machine.
    """

    between: tuple[time, time] | None = attrs.field(default=None, validator=_check_between)
    zone: ZoneInfo | None = attrs.field(default=None, validator=_check_zone)
    max_per_day: int | None = attrs.field(default=None, validator=_check_most)

    def __attrs_post_init__(self) -> None:
        if self.between and self.zone is None:
            for marketplace in Marketplace:  # a zone that is missing must show now, and not at some row
                _zone_of(marketplace)

    @classmethod
    def parse(cls, between: str | None, timezone: str, max_per_day: int | None) -> Windows:
        """Read options.

        Args:
            between: As in `09:00-20:00`, `9-20` or `22:00-6:00`; the end may be `24:00`. None: all hours.
            timezone: `marketplace`, or an IANA name as in `Europe/Berlin`.
            max_per_day: See above.

        Raises:
            ConfigError: One of them is wrong; the message says how it is written.
        """
        return cls(
            between=None if between is None else _hours(between),
            zone=None if timezone == "marketplace" else _zone(timezone),
            max_per_day=max_per_day,
        )

    def opens(self, now: datetime, marketplace_id: str) -> datetime | None:
        """Return when a row may be sent next; None if it may now. The limit of a day has no part in it.

        Args:
            now: With a zone.
            marketplace_id: The row's.

        Returns:
            A time in UTC.
        """
        if self.between is None or self._is_open(now, zone := self.zone or _zone_of(marketplace_id)):
            return None
        return self._turns(now, zone, to_open=True)

    def first(self, now: datetime, region: Region | None) -> datetime | None:
        """Return when it opens next for any marketplace; None if it is open for one of them.

        Args:
            now: With a zone.
            region: Where the rows' marketplaces are; None when they may be anywhere.
        """
        soonest = None
        for marketplace in Marketplace:
            if region in (None, marketplace.region):
                opens = self.opens(now, marketplace)
                if opens is None:
                    return None
                soonest = min(soonest or opens, opens)
        return soonest

    def day(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the beginnings of this day and of the next one, in UTC.

        Args:
            now: With a zone.
        """
        zone = self.zone or UTC
        today = now.astimezone(zone).date()
        begin, end = _beginning(today, zone), _beginning(today + _DAY, zone)
        # Where clocks are set back over midnight the evening comes twice: the second one is of the next day already.
        return (begin, end) if now < end else (end, _beginning(today + 2 * _DAY, zone))

    def ends(self, now: datetime, count: int, rate: float, burst: float, marketplace_id: str = "") -> datetime:
        """Return when the last of so many messages of one selling partner and kind goes out.

        Each goes as soon as it may. Nothing was sent before, so the bucket is full and the day's limit whole.

        Args:
            now: With a zone.
            count: How many; at least 1.
            rate: Messages/s that the usage plan lets through.
            burst: Messages that go at once from a full bucket.
            marketplace_id: Of all rows; not needed with `zone` or without `between`.

        Returns:
            A time in UTC. With rows of several marketplaces, the latest of their times is the latest that can be.

        Raises:
            OverflowError: It is more than a century away.
        """
        begin = now = now.astimezone(UTC)
        full_at = 0.0  # when the bucket is full again, in seconds from the beginning
        today, midnight = count, now if self.max_per_day else _NEVER
        while now - begin <= HORIZON:
            now = self.opens(now, marketplace_id) or now
            if self.max_per_day and now >= midnight:
                today, (_, midnight) = self.max_per_day, self.day(now)
            stop = min(self._closes(now, marketplace_id), midnight)
            # Message n of those from now on leaves at (n - burst) / rate after the bucket was full, but not before now.
            start = (now - begin).total_seconds()
            full_at = max(full_at, start)
            room = ((stop - begin).total_seconds() - full_at) * rate + burst
            here = max(0, min(count, today, math.ceil(min(room, count + 1)) - 1))
            if here == count:
                now = begin + timedelta(seconds=max(start, full_at + (count - burst) / rate))
                if now - begin <= HORIZON:
                    return now
                break
            count -= here
            today -= here
            full_at += here / rate
            now = stop
        raise OverflowError("that is more than a century away")

    def _is_open(self, now: datetime, zone: tzinfo) -> bool:
        assert self.between
        (begin, end), clock = self.between, now.astimezone(zone).time()
        return begin <= clock < end if begin < end else clock >= begin or clock < end

    def _closes(self, now: datetime, marketplace_id: str) -> datetime:
        if self.between is None:
            return _NEVER
        return self._turns(now, self.zone or _zone_of(marketplace_id), to_open=False)

    def _turns(self, now: datetime, zone: tzinfo, *, to_open: bool) -> datetime:
        """Return the first moment, from now on, at which it is open or is closed."""
        assert self.between
        edge = _since_midnight(self.between[0 if to_open else 1])
        now = now.astimezone(UTC)
        while self._is_open(now, zone) is not to_open:
            later = now + (edge - _since_midnight(now.astimezone(zone).time())) % _DAY
            # Clocks that are set on the way may skip the edge, or come back to this side of it.
            now = _clocks_set(zone, now, later) or later
        return now


def _since_midnight(clock: time) -> timedelta:
    return datetime.combine(date.min, clock) - datetime.min


def _beginning(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day: midnight, and the first one if there are two."""
    # Where clocks skip midnight they do so from midnight on (no zone did otherwise since 1920), and then this is when
    # they are set: a time that is skipped is read as if they had not been set yet (PEP 495).
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _clocks_set(zone: tzinfo, begin: datetime, end: datetime) -> datetime | None:
    """Return the moment after `begin` at which the clocks are set, up to `end`; None if they are not. Once at most."""
    before = begin.astimezone(zone).utcoffset()
    if end.astimezone(zone).utcoffset() == before:
        return None
    low, high = math.floor(begin.timestamp()), math.ceil(end.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _hours(text: str) -> tuple[time, time]:
    if match := _FORM.fullmatch(text):
        begin_hour, begin_minute, end_hour, end_minute = (int(part or 0) for part in match.groups())
        if (end_hour, end_minute) == (24, 0):
            end_hour = 0
        try:
            return time(begin_hour, begin_minute), time(end_hour, end_minute)
        except ValueError:
            pass
    raise ConfigError(f"{text!r} are no hours of a day; write them as in 09:00-20:00")


@cache
def _zone_of(marketplace_id: str) -> ZoneInfo:
    return _zone(Marketplace(marketplace_id).timezone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # it is no name of a file, or that of a folder
        known = available_timezones()
    if not known:
        raise ConfigError("there are no time zones on this machine; get them by pip install tzdata")
    by_name = {part.lower(): zone for zone in sorted(known) for part in (zone, zone.rpartition("/")[2])}
    near = difflib.get_close_matches(name.strip().lower().replace(" ", "_"), by_name, n=3)
    names = " or ".join(dict.fromkeys(by_name[each] for each in near))
    raise ConfigError(
        f"no time zone is called {name!r}. "
        + (f"Did you mean {names}?" if names else "Write marketplace, or a name as in Europe/Berlin.")
    )
