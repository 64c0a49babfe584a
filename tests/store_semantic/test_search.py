"""What a search by meaning finds, and in which order (spec 10)."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from langgraph.store.base import GetOp, PutOp, SearchItem, SearchOp
from sqlalchemy import func, select

from tests.databases import DIALECT, open_database
from tests.store_semantic.conftest import Opened
from waystation.auth.access import Access
from waystation.auth.filters import parse
from waystation.storage.database import Database
from waystation.storage.tables import store_items
from waystation.store import Store
from waystation.store.semantic.tables import store_vectors


async def remember(store: Store, **texts: str) -> None:
    for key, text in texts.items():
        await store.aput(("a",), key, {"text": text})


def scores(items: list[SearchItem]) -> dict[str, float | None]:
    return {item.key: None if item.score is None else round(item.score, 3) for item in items}


async def vectors(db: Database) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(store_vectors)).scalar_one())


async def test_the_most_similar_item_comes_first_with_its_cosine(store: Store) -> None:
    await remember(store, mixed="apple cat", animal="cat", fruit="apple pear", nothing="stone")
    found = await store.asearch((), query="banana")
    assert scores(found) == {"fruit": 1.0, "mixed": 0.707, "animal": 0.0, "nothing": 0.0}
    assert [item.key for item in found[:2]] == ["fruit", "mixed"]
    assert scores(store.search((), query="dog", limit=2)) == {"animal": 1.0, "mixed": 0.707}


async def test_the_best_of_several_vectors_counts(db: Database, opened: Opened) -> None:
    store = opened(db, "embed", "facts[*]", "title")
    await store.aput(("a",), "many", {"title": "apple", "facts": ["cat rain", "violin", "dog"]})
    await store.aput(("a",), "one", {"title": "apple dog", "facts": []})
    assert await vectors(db) == 5
    assert scores(await store.asearch((), query="horse")) == {"many": 1.0, "one": 0.707}
    assert scores(await store.asearch((), query="jazz")) == {"many": 1.0, "one": 0.0}
    assert scores(await store.asearch((), query="horse", limit=1, offset=1)) == {"one": 0.707}


async def test_an_item_says_itself_what_of_it_is_embedded(store: Store, db: Database) -> None:
    value = {"title": "apple", "body": {"text": "cat"}}
    await store.aput(("a",), "all", value)
    await store.aput(("a",), "title", value, index=["title"])
    await store.aput(("a",), "body", value, index=["body.text"])
    await store.aput(("a",), "none", value, index=False)
    await store.aput(("a",), "nowhere", value, index=["missing"])
    found = scores(await store.asearch((), query="pear"))
    assert found == {"title": 1.0, "all": 0.707, "body": 0.0, "nowhere": None, "none": None}
    assert await vectors(db) == 3


async def test_items_without_vectors_come_last_page_by_page(store: Store) -> None:
    for number in range(3):
        await store.aput(("a",), f"plain{number}", {"text": "cat"}, index=False)
        await store.aput(("a",), f"cat{number}", {"text": "cat " + "apple " * number})
    pages = [await store.asearch((), query="dog", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[item.key for item in page] for page in pages] == [
        ["cat0", "cat1"],
        ["cat2", "plain2"],
        ["plain1", "plain0"],
        [],
    ]
    assert [item.score is None for page in pages for item in page] == [False] * 3 + [True] * 3


async def test_query_filter_namespace_and_page_together(store: Store) -> None:
    for user in ("ann", "bob"):
        for number, text in enumerate(["apple", "apple cat", "cat", "rain"]):
            value = {"text": text, "n": number, "kind": "odd" if number % 2 else "even"}
            await store.aput(("users", user), f"{user}{number}", value)
    search: dict[str, Any] = {"query": "pear", "filter": {"n": {"$gte": 1}}}
    assert list(scores(await store.asearch(("users", "ann"), **search))) == ["ann1", "ann2", "ann3"]
    assert list(scores(await store.asearch(("users", "bob"), query="pear", filter={"kind": "even"}))) == [
        "bob0",
        "bob2",
    ]
    assert list(scores(await store.asearch(("users",), **search, limit=1, offset=1))) in (["ann1"], ["bob1"])
    assert await store.asearch(("nobody",), query="pear") == []
    assert await store.asearch((), query="pear", filter={"n": 9}) == []


async def test_overwriting_and_deleting_replace_the_vectors(store: Store, db: Database) -> None:
    await remember(store, k="apple", other="rain")
    await remember(store, k="cat")
    assert scores(await store.asearch((), query="dog")) == {"k": 1.0, "other": 0.0}
    assert scores(await store.asearch((), query="pear"))["k"] == 0.0
    assert await vectors(db) == 2
    await store.aput(("a",), "k", {"text": "cat"}, index=False)
    assert scores(await store.asearch((), query="dog")) == {"other": 0.0, "k": None}
    await store.adelete(("a",), "other")
    assert await vectors(db) == 0
    assert scores(await store.asearch((), query="dog")) == {"k": None}


async def test_an_expired_item_is_not_found_and_takes_its_vectors_along(store: Store, db: Database) -> None:
    await store.aput(("a",), "short", {"text": "apple"}, ttl=1e-7)
    await store.aput(("a",), "long", {"text": "apple"}, ttl=60)
    assert scores(await store.asearch((), query="pear")) == {"long": 1.0}
    assert await store.sweep() == 1
    assert await vectors(db) == 1


async def test_a_batch_reads_what_was_there_before_it(store: Store) -> None:
    await remember(store, old="apple")
    results = await store.abatch(
        [
            PutOp(("a",), "new", {"text": "apple"}),
            SearchOp(("a",), query="pear"),
            GetOp(("a",), "new"),
            PutOp(("a",), "new", {"text": "cat"}),
        ]
    )
    assert [item.key for item in results[1]] == ["old"]  # type: ignore[union-attr]
    assert results[2] is None
    assert scores(await store.asearch((), query="dog")) == {"new": 1.0, "old": 0.0}


async def test_workspaces_and_filters_of_handlers_limit_what_is_found(store: Store) -> None:
    other = store.seen_by(Access(workspace="other"))
    await remember(store, mine="apple")
    await other.aput(("a",), "theirs", {"text": "apple", "owner": "ann"})
    await other.aput(("a",), "hidden", {"text": "apple", "owner": "bob"})
    assert list(scores(await store.asearch((), query="pear"))) == ["mine"]
    ann = store.seen_by(Access(workspace="other", asked=(("store", parse({"owner": "ann"})),)))
    assert list(scores(await ann.asearch((), query="pear"))) == ["theirs"]


async def test_searching_starts_a_time_to_live_anew(store: Store, db: Database) -> None:
    await store.aput(("a",), "k", {"text": "apple"}, ttl=60)

    async def expires_at() -> int:
        return await db.read(lambda conn: conn.execute(select(store_items.c.expires_at)).scalar_one())

    before = await expires_at()
    await store.asearch((), query="pear", refresh_ttl=False)
    assert await expires_at() == before
    await store.asearch((), query="pear")
    assert await expires_at() > before


async def test_processes_see_what_others_have_written(store: Store, opened: Opened, tmp_path: Any) -> None:
    other_db = open_database(tmp_path / "test.db")
    try:
        other = opened(other_db)
        await remember(store, one="apple")
        assert scores(await other.asearch((), query="pear")) == {"one": 1.0}
        await remember(other, one="cat", two="apple")
        assert scores(await store.asearch((), query="pear")) == {"two": 1.0, "one": 0.0}
        await other.adelete(("a",), "two")
        assert scores(await store.asearch((), query="pear")) == {"one": 0.0}
    finally:
        await other_db.close()


@pytest.mark.parametrize("few", [0, 5_000])
async def test_many_items_are_found_whichever_way_they_are_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Few vectors are compared one by one; among many the index is walked, until it pays to find what matches first."""
    if DIALECT == "sqlite":
        monkeypatch.setattr("waystation.store.semantic.sqlite.FIRST", 20)
        monkeypatch.setattr("waystation.store.semantic.sqlite.FAR", 40)
    monkeypatch.setattr("waystation.store.semantic.vectors.FEW", few)
    fruits = ["apple " * (number % 7 + 1) + "cat " * (number % 5) for number in range(120)]
    await store.abatch(
        [PutOp((f"n{number % 3}",), str(number), {"text": text, "n": number}) for number, text in enumerate(fruits)]
    )

    def cosine(text: str) -> float:
        apples, cats = text.count("apple"), text.count("cat")
        return apples / math.hypot(apples, cats)

    async def check(prefix: tuple[str, ...], wanted: dict[str, Any] | None, numbers: list[int], **page: int) -> None:
        found = await store.asearch(prefix, query="pear", filter=wanted, **page)  # type: ignore[arg-type]
        expected = sorted((cosine(fruits[number]) for number in numbers), reverse=True)
        start = page.get("offset", 0)
        assert [item.score for item in found] == pytest.approx(expected[start : start + page["limit"]], abs=1e-5)
        assert {int(item.key) for item in found} <= set(numbers)
        assert len({item.key for item in found}) == len(found)

    everything = list(range(120))
    await check((), None, everything, limit=10)
    await check((), None, everything, limit=15, offset=30)
    await check((), None, everything, limit=500)
    await check(("n1",), None, everything[1::3], limit=10)
    await check((), {"n": {"$gte": 60}}, everything[60:], limit=10)
    await check((), {"n": 77}, [77], limit=10)
    await check(("n0",), {"n": 77}, [], limit=10)


@pytest.mark.sqlite
async def test_what_is_gone_leaves_the_memory_of_sqlite(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from waystation.store.semantic import sqlite

    monkeypatch.setattr(sqlite, "GROWTH", 5)
    for _ in range(10):
        await store.abatch([PutOp(("a",), str(number), {"text": "apple"}) for number in range(8)])
        assert len(await store.asearch((), query="pear")) == 8
    matrix: Any = store._index._vectors  # type: ignore[union-attr]
    assert matrix._used <= 24
    await asyncio.gather(*(store.asearch((), query="pear") for _ in range(8)))
    assert scores(await store.asearch((), query="pear", limit=1)) == {"0": 1.0}
