"""When schedules fire: fields, aliases, time zones, and the changes of the clock."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest

from waystation.crons.schedule import Schedule
from waystation.errors import UnprocessableInput
from waystation.timestamps import MICROSECONDS, iso, parse_iso

BERLIN = "Europe/Berlin"


def slots(schedule: str, timezone: str | None, after: str, count: int) -> list[str]:
    """The first slots after a moment, in UTC down to the second."""
    parsed, found = Schedule.parse(schedule, timezone), [parse_iso(after)]
    for _ in range(count):
        found.append(parsed.next_after(found[-1]))
    return [iso(us).removesuffix(".000000+00:00") for us in found[1:]]


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:15:00", "2026-01-01T00:30:00"),
        ("0 9 * * MON-FRI", "2026-01-02T09:00:00", "2026-01-05T09:00:00"),
        ("0 9 ? * MON", "2026-01-02T09:00:00", "2026-01-05T09:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-02-01T00:00:00", "2026-02-06T00:00:00"),
        ("0 12 * * 7", "2026-01-01T00:00:00", "2026-01-04T12:00:00"),
        ("0 0 L * *", "2026-02-01T00:00:00", "2026-02-28T00:00:00"),
        ("  5   4 * * *  ", "2026-01-01T00:00:00", "2026-01-01T04:05:00"),
        ("* * * * * *", "2026-01-01T00:00:30", "2026-01-01T00:00:31"),
        ("* * * * * */20", "2026-01-01T00:00:20", "2026-01-01T00:00:40"),
        ("30 8 * * * 15", "2026-01-01T08:30:15", "2026-01-02T08:30:15"),
        ("@hourly", "2026-01-01T00:00:00", "2026-01-01T01:00:00"),
        ("@daily", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("@midnight", "2026-01-01T00:00:01", "2026-01-02T00:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("@monthly", "2026-01-01T00:00:00", "2026-02-01T00:00:00"),
        ("@Yearly", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("@annually", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_next_slot(schedule: str, after: str, expected: str) -> None:
    assert slots(schedule, None, after, 1) == [expected]


def test_slot_is_after_the_moment_even_within_its_second() -> None:
    assert Schedule.parse("* * * * * *").next_after(1_700_000_000_999_999) == 1_700_000_001 * MICROSECONDS


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * * 60",
        "*/0 * * * *",
        "a b c d e",
        "5-1 * * * *",
        "0 0 31 2 *",
        "@reboot",
        "@every 5m",
        "-1 * * * *",
        "9" * 5000 + " * * * *",
        "١ * * * *",
        ",".join(["1"] * 200) + " * * * *",
    ],
)
def test_bad_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(UnprocessableInput, match="Invalid schedule"):
        Schedule.parse(schedule)


@pytest.mark.parametrize(
    "timezone", ["", "Nowhere/Land", "../../etc/passwd", "America", "x" * 300, "\0", "/etc/passwd"]
)
def test_bad_time_zone_is_refused(timezone: str) -> None:
    with pytest.raises(UnprocessableInput, match="Invalid timezone"):
        Schedule.parse("* * * * *", timezone)


# --- the clock is put forward: on 29 March 2026 in Berlin, 02:00 to 03:00 (01:00 UTC)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # A slot in the hour that is left out is made up for when the clock has been put forward.
        ("30 2 * * *", ["2026-03-28T01:30:00", "2026-03-29T01:00:00", "2026-03-30T00:30:00"]),
        ("30 2 * * * 30", ["2026-03-28T01:30:30", "2026-03-29T01:00:00", "2026-03-30T00:30:30"]),
        # Several of them are made up for together.
        ("10,30,50 2 29 3 *", ["2026-03-29T01:00:00", "2027-03-29T00:10:00"]),
        # The hours around it are what the clock shows.
        ("0 3 * * *", ["2026-03-28T02:00:00", "2026-03-29T01:00:00", "2026-03-30T01:00:00"]),
        ("0 9 * * *", ["2026-03-28T08:00:00", "2026-03-29T07:00:00"]),
    ],
)
def test_slots_when_an_hour_is_left_out(schedule: str, expected: list[str]) -> None:
    assert slots(schedule, BERLIN, "2026-03-27T22:59:00", len(expected)) == expected


@pytest.mark.parametrize(("schedule", "step_s"), [("*/30 * * * *", 1800), ("0 * * * *", 3600), ("* * * * * */30", 30)])
@pytest.mark.parametrize("around", ["2026-03-28T23:59:59", "2026-10-24T22:59:59"])
def test_frequent_schedules_follow_the_time_that_passes(schedule: str, step_s: int, around: str) -> None:
    found = [parse_iso(each) for each in slots(schedule, BERLIN, around, 40)]
    assert {later - earlier for earlier, later in pairwise(found)} == {step_s * MICROSECONDS}


# --- the clock is put back: on 25 October 2026 in Berlin, 03:00 to 02:00 (01:00 UTC)


@pytest.mark.parametrize("seconds", ["", " 15"])
def test_slot_in_the_hour_that_comes_twice_fires_once(seconds: str) -> None:
    expected = ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]
    found = slots(f"30 2 * * *{seconds}", BERLIN, "2026-10-23T22:00:00", 3)
    assert [each[:16] for each in found] == expected


@pytest.mark.parametrize("seconds", ["", " 15"])
def test_server_that_starts_in_the_second_pass_does_not_fire_what_the_first_one_had(seconds: str) -> None:
    # 02:10 for the second time: the slot at 02:30 was twenty minutes after the first 02:10.
    assert slots(f"30 2 * * *{seconds}", BERLIN, "2026-10-25T01:10:00", 1)[0].startswith("2026-10-26T01:30")


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00", "2026-09-06T04:00:00"),  # midnight is left out
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00", "2026-10-03T15:30:00"),  # half an hour is
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00", "2011-12-30T10:00:00"),  # a whole day is
        ("0 9 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00", "2026-01-01T03:15:00"),
        ("0 0 * * 0", "America/New_York", "2026-10-31T12:00:00", "2026-11-01T04:00:00"),
    ],
)
def test_other_zones(schedule: str, zone: str, after: str, expected: str) -> None:
    assert slots(schedule, zone, after, 1) == [expected]


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Santiago"])
@pytest.mark.parametrize("schedule", ["30 2 * * *", "0 0 * * *", "15 1-3 * * *", "59 23 * * 0", "45 2 * * * 10"])
def test_no_day_is_left_out_or_served_twice_in_a_year(zone: str, schedule: str) -> None:
    """Each slot of the wall clock fires once, at the time that it says or right after the gap that swallowed it."""
    parsed, us, found = Schedule.parse(schedule, zone), parse_iso("2026-01-01T00:00:00"), []
    while us < parse_iso("2027-01-01T00:00:00"):
        us = parsed.next_after(us)
        found.append(datetime.fromisoformat(iso(us)).astimezone(parsed.zone))
    assert found == sorted(set(found))
    days = {each.date() for each in found}
    per_day = [sum(each.date() == day for each in found) for day in sorted(days)]
    whole = per_day[1:-1]
    most = max(set(whole), key=whole.count)
    assert all(count in (most, most - 1 if most > 1 else most) for count in whole)
    if schedule.split()[4] == "*":
        assert len(days) >= 364
