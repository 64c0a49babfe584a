"""Whichever way the database takes to a page of threads with some metadata, it is the same page."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from waystation.auth.access import EVERYTHING, Access
from waystation.storage import tables
from waystation.storage.database import Database
from waystation.storage.estimates import Estimate, estimate_threads
from waystation.threads import search
from waystation.threads.search import Filters, Order, Page

NUMBER = 60
WAYS = {
    "the order of the sort alone": {"GATHERED": 0},
    "all that match, sorted": {"WALKED": 0},
    "the first one, then all": {"WALKED": 1000, "LOOKED_AT": 1, "PATIENCE": 0},
    "the first ones, then all": {"WALKED": 1000, "LOOKED_AT": 12, "PATIENCE": 0},
    "as it is": {},
}
"""The settings that lead to them on PostgreSQL."""

NEEDLES: list[dict[str, Any]] = [
    {"end": "old"},
    {"end": "new"},
    {"all": True},
    {"third": 2},
    {"end": "new", "third": 0},
    {"deep": {"n": [7]}},
    {"none": 1},
]


def _row(i: int, moment: int) -> dict[str, Any]:
    """Two of them each are created at the same time."""
    end = "old" if i < 8 else "new" if i >= NUMBER - 8 else "middle"
    return {
        "thread_id": f"{moment:04}-{i}",
        "status": ("idle", "error", "busy")[i % 3],
        "metadata": {"end": end, "third": i % 3, "all": True, "deep": {"n": [i, 100]}},
        "config": {},
        "values": None,
        "interrupts": {},
        "created_at": i // 2,
        "updated_at": moment,
        "state_updated_at": moment // 7,
        "workspace": ("ours", "theirs")[i % 5 == 0],
    }


async def _populated(db: Database) -> list[dict[str, Any]]:
    moments = random.Random(5).sample(range(1000), NUMBER)
    rows = [_row(i, moment) for i, moment in enumerate(moments)]

    def fill(conn: Connection) -> None:
        conn.execute(insert(tables.threads), rows)
        if conn.dialect.name == "postgresql":
            conn.execute(text("ANALYZE threads"))

    await db.write(fill)
    return rows


def _expected(rows: list[dict[str, Any]], needle: dict[str, Any], status: str | None, order: Order) -> list[str]:
    keys = ("thread_id",) if order.column == "thread_id" else (order.column, "created_at", "thread_id")
    found = [row for row in rows if status in (None, row["status"]) and _contains(row["metadata"], needle)]
    found.sort(key=lambda row: tuple(row[key] for key in keys), reverse=not order.ascending)
    return [row["thread_id"] for row in found]


def _contains(metadata: dict[str, Any], needle: dict[str, Any]) -> bool:
    if "deep" in needle:
        return bool(needle["deep"]["n"][0] in metadata["deep"]["n"])
    return all(metadata.get(key) == value for key, value in needle.items())


@pytest.mark.parametrize("way", WAYS)
async def test_the_page_is_the_same(db: Database, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(search, name, value)
    rows = await _populated(db)
    columns = ("created_at", "updated_at", "state_updated_at", "status", "thread_id")
    for needle, column, ascending, status in itertools.product(NEEDLES, columns, (True, False), (None, "error")):
        order = Order(column, ascending)
        expected = _expected(rows, needle, status, order)
        for page in (Page(4), Page(3, 5), Page(100)):
            found = await db.read(search.find_ids, Filters(needle, status=status), order, page, EVERYTHING)
            assert found == expected[page.offset : page.offset + page.limit], (needle, order, status, page)


@pytest.mark.parametrize("few", [0, NUMBER], ids=["a large workspace", "a small workspace"])
async def test_the_page_of_a_workspace_is_the_same(db: Database, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(search, "FEW", few)
    rows = [row for row in await _populated(db) if row["workspace"] == "theirs"]
    access = Access(workspace="theirs")
    columns = ("created_at", "updated_at", "status", "thread_id")
    for needle, column, ascending, status in itertools.product([{}, *NEEDLES], columns, (True, False), (None, "error")):
        order = Order(column, ascending)
        expected = _expected(rows, needle, status, order)
        for page in (Page(4), Page(3, 5), Page(100)):
            found = await db.read(search.find_ids, Filters(needle, status=status), order, page, access)
            assert found == expected[page.offset : page.offset + page.limit], (needle, order, status, page)
        assert await db.read(search.count, Filters(needle, status=status), access) == len(expected)


async def test_estimates_count_all_rows_of_a_parallel_plan(db: Database) -> None:
    """On large tables the planner divides the rows among processes."""
    if db.dialect == "postgresql":
        await _populated(db)

        def estimate(conn: Connection) -> Estimate:
            for setting in ("debug_parallel_query = on", "parallel_setup_cost = 0", "min_parallel_table_scan_size = 0"):
                conn.execute(text(f"SET LOCAL {setting}"))
            return estimate_threads(conn, b'{"end": "old"}')

        in_one = await db.read(estimate_threads, b'{"end": "old"}')
        assert in_one.all == NUMBER
        assert 0 < in_one.matching < NUMBER // 2
        assert await db.read(estimate) == in_one


async def test_statements_are_planned_for_what_is_searched_for(db: Database) -> None:
    """A plan that was good for one search is not kept for the next one."""

    def kept(conn: Connection) -> int:
        for _ in range(10):
            conn.execute(text("SELECT 'searched for' WHERE :x = 1"), {"x": 1})
        statement = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%searched for%'"
        return int(conn.execute(text(statement)).scalar_one())

    if db.dialect == "postgresql":
        assert await db.read(kept) == 0
