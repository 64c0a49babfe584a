"""Event ids as text and as positions (spec 8.6, 9)."""

from __future__ import annotations

import threading

import pytest

from waystation.streams.events import Positions, event_id, parse_event_id


@pytest.mark.parametrize("position", [0, 1, (1 << 20) - 1, 1 << 20, pytest.param(Positions().next(), id="the next")])
def test_an_id_names_its_position(position: int) -> None:
    assert parse_event_id(event_id(position)) == position


@pytest.mark.parametrize(
    ("text", "same_as"),
    [("5", "5-1048575"), ("5-*", "5-1048575"), ("5-9999999", "5-1048575"), ("0005-01", "5-1")],
)
def test_other_spellings(text: str, same_as: str) -> None:
    assert parse_event_id(text) == parse_event_id(same_as)


@pytest.mark.parametrize(
    "text", ["", "-", "x", "1-", "-1", "1-2-3", "1.5", " 1", "1\n", "1-x", "9" * 14, "1-" + "9" * 8]
)
def test_what_is_no_id(text: str) -> None:
    assert parse_event_id(text) is None


def test_the_greatest_id_fits_into_a_database() -> None:
    assert parse_event_id("9999999999999-*") == 2**63 - 1


def test_positions_increase_on_many_threads() -> None:
    positions, taken = Positions(), []

    def take() -> None:
        mine = [positions.next() for _ in range(2000)]
        assert mine == sorted(set(mine))
        taken.extend(mine)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 8000


def test_positions_go_on_behind_a_log_that_is_ahead_of_the_clock() -> None:
    positions = Positions()
    ahead = positions.next() + (10**6 << 20)
    positions.advance_past(ahead)
    assert positions.next() == ahead + 1
