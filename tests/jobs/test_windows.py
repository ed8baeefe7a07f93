"""Hours of the buyer's day and so many messages a day, also where clocks are set forward and back."""

from __future__ import annotations

import sys
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from spapi_async import Marketplace, Region
from spapi_async.errors import ConfigError
from spapi_async.jobs import windows as module
from spapi_async.jobs.windows import Windows

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
# When clocks were set, in UTC; forward by an hour and back again, if nothing else is said.
SET = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Antarctica/Troll", "2026-03-29T01:00"),  # two hours
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),  # from midnight to 1:00
    ("Africa/Cairo", "2026-10-29T21:00"),  # from midnight to 23:00
    ("America/Havana", "2026-03-08T05:00"),
    ("America/Havana", "2026-11-01T05:00"),  # from 1:00 to midnight
    ("America/St_Johns", "2010-11-07T02:31"),  # from 0:01 to 23:01 of the day before
    ("Pacific/Apia", "2011-12-30T10:00"),  # the 30th was left out
    ("Asia/Kolkata", "2026-06-01T00:00"),  # never
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(text: str, zone: ZoneInfo | None = BERLIN, most: int | None = None) -> Windows:
    return Windows.parse(text or None, zone.key if zone else "marketplace", most)


clocks = st.integers(0, 24 * 60 - 1).map(lambda minutes: time(*divmod(minutes, 60)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Windows, datetime]:
    """Any hours, at a moment up to two days from one at which clocks are set."""
    zone, moment = draw(st.sampled_from(SET))
    # A minute to either side more often than any other.
    minutes = draw(st.one_of(st.integers(-2, 2), st.integers(-2880, 2880)))
    now = utc(moment) + minutes * MINUTE + timedelta(seconds=draw(st.sampled_from([0, 0, 0.000001, 30, 59.999999])))
    begin, end = draw(st.tuples(clocks, clocks).filter(lambda edges: edges[0] != edges[1]))
    return Windows(between=(begin, end), zone=ZoneInfo(zone)), now


def is_open(windows: Windows, now: datetime) -> bool:
    """Read off a clock, minute by minute from the first to the last."""
    assert windows.between
    begin, end = (edge.hour * 60 + edge.minute for edge in windows.between)
    clock = now.astimezone(windows.zone)
    since = (clock.hour * 60 + clock.minute - begin) % 1440
    return since < (end - begin) % 1440


def minutes_from(now: datetime) -> Iterator[datetime]:
    yield now
    now = now.replace(second=0, microsecond=0)
    while True:
        now += MINUTE
        yield now


@given(cases())
def test_it_opens_at_the_first_moment_that_is_open(case: tuple[Windows, datetime]) -> None:
    """What `opens` gives is open, and no earlier moment is."""
    windows, now = case
    opens = windows.opens(now, "")
    expected = next(moment for moment in minutes_from(now) if is_open(windows, moment))
    assert (opens or now) == expected
    assert (opens is None) == is_open(windows, now)
    assert windows.opens(expected, "") is None


@pytest.mark.parametrize(
    ("between", "now", "opens"),
    [
        ("9-20", "2026-01-10T07:59:59", "2026-01-10T08:00"),  # 8:59:59 in Berlin
        ("9-20", "2026-01-10T08:00", None),  # the first is included
        ("9-20", "2026-01-10T18:59:59", None),
        ("9-20", "2026-01-10T19:00", "2026-01-11T08:00"),  # the second is not
        ("9-20", "2026-07-10T20:00", "2026-07-11T07:00"),
        ("22-6", "2026-01-10T04:59", None),  # over midnight
        ("22-6", "2026-01-10T05:00", "2026-01-10T21:00"),
        ("22-6", "2026-01-10T23:30", None),
        ("20-24", "2026-01-10T22:59", None),  # until midnight
        ("20-24", "2026-01-10T23:00", "2026-01-11T19:00"),
        # 2:00 becomes 3:00
        ("9-20", "2026-03-28T20:00", "2026-03-29T07:00"),
        ("2:30-4", "2026-03-29T00:30", "2026-03-29T01:00"),
        ("2:10-2:50", "2026-03-29T00:30", "2026-03-30T00:10"),  # that day has none of it
        ("1-2:30", "2026-03-29T01:00", "2026-03-29T23:00"),
        # 3:00 becomes 2:00
        ("9-20", "2026-10-24T20:00", "2026-10-25T08:00"),
        ("2:30-2:40", "2026-10-24T23:00", "2026-10-25T00:30"),
        ("2:30-2:40", "2026-10-25T00:40", "2026-10-25T01:30"),  # and once more
        ("1-2:30", "2026-10-25T00:45", "2026-10-25T01:00"),
        ("1-2:30", "2026-10-25T01:30", "2026-10-26T00:00"),
    ],
)
def test_hours_are_those_that_a_clock_shows(between: str, now: str, opens: str | None) -> None:
    """Hours that clocks skip are not there, and those that they show twice count twice."""
    assert hours(between).opens(utc(now), "") == (opens and utc(opens))


def test_any_zone_may_be_that_of_now() -> None:
    """What is given goes out in UTC, whatever zone `now` has."""
    now = datetime(2026, 1, 10, 3, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert hours("9-20").opens(now, "") is None
    assert hours("9:30-20").opens(now, "") == utc("2026-01-10T08:30")
    assert hours("9:30-20").ends(now, 1, 1.0, 5.0).tzinfo is UTC
    assert {moment.tzinfo for moment in hours("9-20").day(now)} == {UTC}


def test_each_row_by_the_clock_of_its_marketplace() -> None:
    """Without a zone, one marketplace may be open while another is not."""
    windows, now = hours("9-20", zone=None), utc("2026-01-10T08:30")
    assert windows.opens(now, Marketplace.DE) is None
    assert windows.opens(now, Marketplace.UK.value) == utc("2026-01-10T09:00")
    assert windows.opens(now, Marketplace.US) == utc("2026-01-10T14:00")


def test_first() -> None:
    """It is open if it is for one marketplace of the region, and opens when it does for the first of them."""
    windows = hours("9-20", zone=None)
    assert windows.first(utc("2026-01-10T08:30"), Region.EU) is None
    assert windows.first(utc("2026-01-10T08:30"), None) is None
    assert windows.first(utc("2026-01-10T08:30"), Region.NA) == utc("2026-01-10T12:00")  # São Paulo
    assert windows.first(utc("2026-01-10T20:30"), Region.EU) == utc("2026-01-11T03:30")  # India
    assert hours("9-20").first(utc("2026-01-10T20:30"), Region.EU) == utc("2026-01-11T08:00")
    assert Windows().first(utc("2026-01-10T20:30"), Region.EU) is None


@pytest.mark.parametrize(
    ("zone", "now", "length", "begin"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23, "2026-03-28T23:00"),
        ("Europe/Berlin", "2026-10-25T12:00", 25, "2026-10-24T22:00"),
        ("Europe/Berlin", "2026-10-24T22:00", 25, "2026-10-24T22:00"),  # its first moment
        ("Africa/Cairo", "2026-04-24T12:00", 23, "2026-04-23T22:00"),  # begins at 1:00
        ("Africa/Cairo", "2026-10-29T20:30", 25, "2026-10-28T21:00"),
        ("Africa/Cairo", "2026-10-29T21:30", 25, "2026-10-28T21:00"),  # 23:30 for the second time
        ("America/Havana", "2026-11-01T05:30", 25, "2026-11-01T04:00"),  # 0:30 for the second time
        ("America/St_Johns", "2010-11-07T02:00", 24, "2010-11-06T02:30"),
        ("America/St_Johns", "2010-11-07T02:45", 25, "2010-11-07T02:30"),  # 23:15 for the second time
        ("Pacific/Apia", "2011-12-30T09:00", 24, "2011-12-29T10:00"),
        ("Pacific/Apia", "2011-12-30T11:00", 24, "2011-12-30T10:00"),  # the 31st
    ],
)
def test_a_day_has_as_many_hours_as_clocks_make_it(zone: str, now: str, length: int, begin: str) -> None:
    """It begins when a clock shows its date first."""
    expected = utc(begin), utc(begin) + timedelta(hours=length)
    assert Windows(zone=ZoneInfo(zone)).day(utc(now)) == expected


def test_the_day_is_that_of_utc_without_a_zone() -> None:
    """Rows of several marketplaces share the limit of a day, so it cannot be that of each."""
    expected = utc("2026-10-25T00:00"), utc("2026-10-26T00:00")
    assert Windows().day(utc("2026-10-25T23:59:59")) == expected


@given(cases())
def test_days_follow_each_other_without_a_gap(case: tuple[Windows, datetime]) -> None:
    """A new day begins whenever a clock shows a later date than ever before."""
    windows, now = case
    latest, begins = date.min, []
    for moment in minutes_from((now - 3 * DAY).replace(second=0, microsecond=0)):
        if (today := moment.astimezone(windows.zone).date()) > latest:
            latest = today
            begins.append(moment)
            if moment > now:
                break
    assert windows.day(now) == tuple(begins[-2:])


@st.composite
def counted(draw: st.DrawFn) -> tuple[Windows, datetime, int, float, int]:
    windows, now = draw(cases())
    between = draw(st.sampled_from([windows.between, windows.between, None]))
    windows = Windows(between=between, zone=windows.zone, max_per_day=draw(st.none() | st.integers(1, 5)))
    # Seconds between messages that are exact in binary and in microseconds.
    rate = draw(st.sampled_from([2.0, 1.0, 0.5, 1 / 16, 1 / 1024]))
    return windows, now, draw(st.integers(1, 9)), rate, draw(st.integers(1, 4))


def simulated(windows: Windows, now: datetime, count: int, rate: float, burst: int) -> datetime:
    """Send one after the other, each as soon as it is open, the day has some left and the bucket has a token."""
    begin, sent, tokens, counted_at = now, 0, float(burst), now
    by_day: Counter[datetime] = Counter()
    while True:
        tokens = min(float(burst), tokens + (now - counted_at).total_seconds() * rate)
        counted_at = now
        day, next_day = windows.day(now)
        if windows.between and not is_open(windows, now):
            minutes = minutes_from(now)
            next(minutes)
            now = next(minutes)
        elif windows.max_per_day and by_day[day] >= windows.max_per_day:
            now = next_day
        elif tokens < 1.0:
            now += timedelta(seconds=(1.0 - tokens) / rate)
        else:
            tokens -= 1.0
            by_day[day] += 1
            sent += 1
            if sent == count:
                assert now >= begin
                return now


@given(counted())
def test_the_end_is_that_of_sending_one_by_one(case: tuple[Windows, datetime, int, float, int]) -> None:
    """Whole hours and days are counted at once, to the same end: with hours, with a limit of a day, and with both."""
    windows, now, count, rate, burst = case
    end = windows.ends(now, count, rate, burst)
    assert abs(end - simulated(windows, now, count, rate, burst)) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("between", "most", "count", "rate", "end"),
    [
        ("", None, 5, 1.0, "2026-01-10T07:00"),  # the burst
        ("", None, 65, 1.0, "2026-01-10T07:01"),
        ("", 10, 20, 1.0, "2026-01-10T23:00:05"),  # midnight in Berlin
        ("9-20", None, 65, 1.0, "2026-01-10T08:01"),
        ("9-10", None, 5 + 3599, 1.0, "2026-01-10T08:59:59"),
        ("9-10", None, 5 + 3600, 1.0, "2026-01-11T08:00"),  # at 10:00 it is closed
        ("9-20", 100, 1000, 1.0, "2026-01-19T08:01:35"),
        ("22-6", 100, 101, 1.0, "2026-01-10T23:00"),  # a new day in the same night
        ("9-20", None, 10_000_000, 1000.0, "2026-01-10T10:46:39.995"),
    ],
)
def test_ends(between: str, most: int | None, count: int, rate: float, end: str) -> None:
    """With hours, with a limit for the day, and with both; from a full bucket, which fills again while it is closed."""
    assert hours(between, most=most).ends(utc("2026-01-10T07:00"), count, rate, 5.0) == utc(end)


def test_an_end_by_the_clock_of_a_marketplace() -> None:
    """All rows are taken for those of the one that is named."""
    windows, now = hours("9-20", zone=None), utc("2026-01-10T07:00")
    assert windows.ends(now, 1, 1.0, 5.0, Marketplace.DE) == utc("2026-01-10T08:00")
    assert windows.ends(now, 1, 1.0, 5.0, Marketplace.US) == utc("2026-01-10T14:00")


@pytest.mark.parametrize(
    ("between", "most", "rate"),
    [("", None, 1e-9), ("", None, 1e-300), ("9-20", None, 1e-9)],
)
def test_an_end_that_is_too_far_off(between: str, most: int | None, rate: float) -> None:
    """More than a century is not counted out."""
    with pytest.raises(OverflowError, match="more than a century"):
        hours(between, most=most).ends(utc("2026-01-10T07:00"), 40_000, rate, 5.0)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("09:00-20:00", time(9), time(20)),
        ("09:00–20:00", time(9), time(20)),
        ("9-20", time(9), time(20)),
        (" 9:30 - 20 ", time(9, 30), time(20)),
        ("22:00-06:00", time(22), time(6)),
        ("18-24:00", time(18), time(0)),
    ],
)
def test_hours_as_people_write_them(text: str, begin: time, end: time) -> None:
    """With minutes or without, with a hyphen or a dash."""
    assert Windows.parse(text, "marketplace", 500) == Windows(between=(begin, end), max_per_day=500)


@pytest.mark.parametrize(
    "text",
    ["", "9", "9-", "9:5-20", "09:60-20:00", "25-26", "24-6", "9-24:01", "9.30-20", "9am-8pm", "٩-٢٠", "9-20-22"],
)
def test_hours_that_are_none(text: str) -> None:
    """Anything else is an error that shows how they are written."""
    with pytest.raises(ConfigError, match="as in 09:00-20:00"):
        Windows.parse(text, "marketplace", None)


@pytest.mark.parametrize("text", ["9-9", "0-24"])
def test_hours_that_begin_where_they_end(text: str) -> None:
    """Nobody can say whether that is none of a day or all of it."""
    with pytest.raises(ConfigError, match="leave it out to send at any time"):
        Windows.parse(text, "marketplace", None)


@pytest.mark.parametrize("most", [0, -1])
def test_a_day_without_a_message(most: int) -> None:
    """A job that may never send anything is a mistake."""
    with pytest.raises(ConfigError, match="give a number from 1 on"):
        Windows.parse(None, "marketplace", most)


def test_hours_are_without_a_zone() -> None:
    """There is one place for the zone."""
    with pytest.raises(ConfigError, match="zone= has that"):
        Windows(between=(time(9, tzinfo=UTC), time(20)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Europe/Berln", "Did you mean Europe/Berlin or "),
        ("europe/Berlin ", "Did you mean Europe/Berlin or "),
        ("New York", "Did you mean America/New_York"),
        ("marketplaces/", "Write marketplace, or a name as in Europe/Berlin."),
        ("Europe", "no time zone is called 'Europe'"),
        ("../zoneinfo", "no time zone is called '../zoneinfo'"),
        ("a\0b", "no time zone is called"),
        ("", "no time zone is called ''. Write marketplace"),
    ],
)
def test_a_time_zone_that_there_is_not(name: str, words: str) -> None:
    """The nearest names are told."""
    with pytest.raises(ConfigError) as error:
        Windows.parse(None, name, None)
    assert words in str(error.value)


@pytest.fixture
def _no_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    ZoneInfo.clear_cache()
    module._zone_of.cache_clear()
    yield
    zoneinfo.reset_tzpath()


@pytest.mark.usefixtures("_no_zones")
@pytest.mark.parametrize("zone", ["marketplace", "Europe/Berlin"])
def test_a_machine_without_time_zones(zone: str) -> None:
    """Windows and slim containers have none; the error says what to install, before any row is looked at."""
    with pytest.raises(ConfigError, match="get them by pip install tzdata"):
        Windows.parse("9-20", zone, None)
    assert Windows.parse(None, "marketplace", 500).opens(utc("2026-01-10T07:00"), Marketplace.DE) is None
