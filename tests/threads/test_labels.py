"""The index of metadata follows whatever happens to threads, and a search with it finds what a full scan would."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from waystation.auth.access import EVERYTHING
from waystation.encoding import to_plain
from waystation.storage import thread_source
from waystation.storage.containment import contained
from waystation.storage.labels import LONGEST, thread_labels
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import runs, threads
from waystation.threads import queries
from waystation.threads import search as thread_search
from waystation.threads.removal import remove_some
from waystation.threads.search import Filters, Order, Page

LONG = "x" * LONGEST

METADATA: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"a": 1.0},
    {"a": True},
    {"a": "1"},
    {"a": None},
    {"a": "null"},
    {"a": "true"},
    {"a": 1.5},
    {"a": 1.25, "b": "x"},
    {"a": -1.5},
    {"a": -1},
    {"a": 2**53 + 1},
    {"a": 2**63 - 1},
    {"a": 2**63},
    {"a": -(2**63)},
    {"a": 1e300},
    {"a": 0.1 + 0.2},
    {"a": ""},
    {"a": LONG},
    {"a": LONG + "1"},
    {"a": LONG + "2"},
    {"a": LONG[:-1]},
    {"a": 'quote " \\ ü \U0001f600 \n'},
    {"a": "nul \0"},
    {"": "empty key", "a.b": 1, "$": 2, 'q"': 3},
    {"a": {"b": 1}, "c": "x"},
    {"a": [1, 2], "c": "x"},
    {"a": {"b": {"d": None}}, "c": "y"},
]


def add(conn: Connection, *metadata: dict[str, Any]) -> list[str]:
    ids = [f"{i:08d}-0000-4000-8000-000000000000" for i in range(len(metadata))]
    for position, (thread_id, entry) in enumerate(zip(ids, metadata, strict=True)):
        conn.execute(insert(threads), queries.new_row(thread_id, entry, None, 1_000_000 + position))
    return ids


def labels(conn: Connection) -> set[tuple[str, str, str]]:
    return {
        tuple(row)
        for row in conn.execute(select(thread_labels.c.key, thread_labels.c.value, thread_labels.c.thread_id))
    }


@pytest.mark.sqlite
async def test_labels_follow_every_change_of_metadata(db: SqliteDatabase) -> None:
    ids = await db.write(add, {"a": "x", "n": {"deep": 1}}, {"a": "y"})
    assert await db.read(labels) == {("a", '"x', ids[0]), ("a", '"y', ids[1])}

    await db.write(
        lambda c: c.execute(update(threads).where(threads.c.thread_id == ids[0]).values(metadata={"b": 2, "a": None}))
    )
    assert await db.read(labels) == {("a", "null", ids[0]), ("b", "#2", ids[0]), ("a", '"y', ids[1])}

    await db.write(lambda c: c.execute(update(threads).values(status="busy", created_at=5)))
    assert await db.read(labels) == {("a", "null", ids[0]), ("b", "#2", ids[0]), ("a", '"y', ids[1])}
    assert await db.read(thread_search.find_ids, Filters({"a": None, "b": 2}), Order(), Page(9), EVERYTHING) == [ids[0]]

    await db.write(lambda c: c.execute(delete(threads).where(threads.c.thread_id == ids[0])))
    assert await db.read(labels) == {("a", '"y', ids[1])}


@pytest.mark.parametrize("few", [0, 3, 2000])
async def test_search_by_labels_finds_what_a_scan_finds(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whichever way the search goes: along a label, along the sort order, or over everything."""
    monkeypatch.setattr(thread_source, "FEW", few)
    ids = await db.write(add, *METADATA)
    stored = [to_plain(entry) for entry in METADATA]
    wanted = [*METADATA, {"c": "x", "a": {}}, {"a": []}, {"missing": 1}, {"a": 1, "missing": None}]
    for needle, column, ascending in itertools.product(
        wanted, ("created_at", "updated_at", "thread_id"), (True, False)
    ):
        expected = [i for i, entry in zip(ids, stored, strict=True) if contained(to_plain(needle), entry)]
        found = await db.read(thread_search.find_ids, Filters(needle), Order(column, ascending), Page(100), EVERYTHING)
        assert found == (expected if ascending else expected[::-1]), (needle, column, ascending)
        assert await db.read(thread_search.count, Filters(needle), EVERYTHING) == len(expected)


async def test_filters_are_combined(db: SqliteDatabase) -> None:
    ids = await db.write(add, *({"parity": i % 2, "third": i % 3, "all": True} for i in range(30)))

    def finish(conn: Connection) -> None:
        for i, thread_id in enumerate(ids):
            status = "error" if i % 5 == 0 else "idle"
            conn.execute(
                update(threads)
                .where(threads.c.thread_id == thread_id)
                .values(status=status, values={"items": [{"n": i % 4}]} if i else None)
            )

    await db.write(finish)
    filters = Filters({"parity": 0, "third": 0, "all": True}, {"items": [{"n": 2}]}, "idle")
    expected = [ids[i] for i in (18, 6)]
    for column in ("created_at", "updated_at", "status"):
        assert await db.read(thread_search.find_ids, filters, Order(column), Page(9), EVERYTHING) == expected
    assert await db.read(thread_search.count, filters, EVERYTHING) == 2
    among = Filters({"parity": 0, "third": 0, "all": True}, ids=[ids[6], ids[7], ids[12]])
    assert await db.read(thread_search.find_ids, among, Order(), Page(9), EVERYTHING) == [ids[12], ids[6]]


@pytest.mark.parametrize(("few", "near", "many"), [(5, 3, 50), (5, 3, 9), (5, 4000, 50), (2000, 4000, 50)])
@pytest.mark.parametrize("column", ["created_at", "updated_at", "thread_id", "status", "state_updated_at"])
async def test_pages_join_without_gap_or_overlap(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, column: str, few: int, near: int, many: int
) -> None:
    monkeypatch.setattr(thread_source, "FEW", few)
    monkeypatch.setattr(thread_source, "MANY", many)
    monkeypatch.setattr(thread_search, "FEW", few)
    monkeypatch.setattr(thread_search, "NEAR", near)
    monkeypatch.setattr(thread_search, "NEAR_FOR_EACH", 0)
    ids = await db.write(add, *({"tag": "t"} for _ in range(23)))
    for filters in (Filters({"tag": "t"}), Filters(), Filters(status="idle")):
        paged: list[str] = []
        for offset in range(0, 25, 5):
            paged += await db.read(thread_search.find_ids, filters, Order(column), Page(5, offset), EVERYTHING)
        assert paged == ids[::-1]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("column", ["updated_at", "thread_id", "state_updated_at"])
async def test_what_is_far_in_the_order_of_the_sort_is_found(
    db: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, column: str, ascending: bool
) -> None:
    """Some pages are filled from the first threads, some from the first and later ones, some from none of the first."""
    for module, name, value in (
        (thread_source, "FEW", 4),
        (thread_search, "NEAR", 7),
        (thread_search, "NEAR_FOR_EACH", 1),
    ):
        monkeypatch.setattr(module, name, value)
    ids = await db.write(add, *({"end": "first" if i < 10 else "last"} for i in range(40)))
    for end, expected in (("first", ids[:10]), ("last", ids[10:])):
        ordered = expected if ascending else expected[::-1]
        for offset, limit in itertools.product((0, 3, 8), (1, 4, 9)):
            order, page = Order(column, ascending), Page(limit, offset)
            found = await db.read(thread_search.find_ids, Filters({"end": end}), order, page, EVERYTHING)
            assert found == ordered[offset : offset + limit]


@pytest.mark.sqlite
async def test_search_reads_a_page_along_the_index(db: SqliteDatabase) -> None:
    """The plan that keeps the default search fast: no sort, and no table but the index."""
    await db.write(add, *({"tag": "t"} for _ in range(10)))

    def plan(conn: Connection) -> list[str]:
        source = thread_source.thread_source(conn, {"tag": "t"}, by_creation=True)
        statement = (
            select(source.thread_id)
            .select_from(source.rows)
            .where(*source.conditions)
            .order_by(source.created_at.desc(), source.thread_id.desc())
        )
        sql = str(statement.compile(conn.engine, compile_kwargs={"literal_binds": True}))
        return [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]

    assert await db.read(plan) == ["SEARCH label USING PRIMARY KEY (key=? AND value=?)"]


@pytest.mark.sqlite
async def test_deleting_threads_with_runs_leaves_no_label(db: SqliteDatabase) -> None:
    (thread_id,) = await db.write(add, {"a": "x"})
    run = {
        "run_id": "r",
        "thread_id": thread_id,
        "assistant_id": "a",
        "graph_id": "g",
        "status": "pending",
        "metadata": {},
        "kwargs": {},
        "multitask_strategy": "enqueue",
        "created_at": 1,
        "updated_at": 1,
        "attempt": 0,
    }
    await db.write(lambda conn: conn.execute(insert(runs), run))
    await db.write(remove_some, [thread_id], EVERYTHING)
    assert await db.read(labels) == set()
    assert await db.read(lambda conn: conn.execute(select(runs.c.run_id)).all()) == []
