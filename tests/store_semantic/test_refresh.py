"""Items that were stored under another index, or under none, are embedded anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.driver import eventually
from tests.store_semantic.conftest import Opened, WithIndex
from waystation.storage.database import Database
from waystation.storage.tables import store_indexes
from waystation.store import Store
from waystation.store.semantic import refresh as refreshing
from waystation.store.semantic.refresh import refresh
from waystation.store.semantic.tables import store_vectors


async def refreshed(db: Database, store: Store) -> int:
    assert store._index is not None
    return await refresh(db, store._index)


async def keys(store: Store, query: str) -> list[tuple[str, Any]]:
    return [(item.key, item.score) for item in await store.asearch((), query=query)]


async def count(db: Database, table: Any) -> int:
    return await db.read(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one())


async def test_the_same_configuration_embeds_nothing_again(db: Database, opened: Opened) -> None:
    await opened(db).aput(("a",), "k", {"text": "apple"})
    again = opened(db)
    assert await refreshed(db, again) == 0
    assert await count(db, store_indexes) == 1
    assert await keys(again, "pear") == [("k", 1.0)]


async def test_another_embedder_embeds_everything_again(
    db: Database, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "AT_ONCE", 2)
    before = opened(db)
    for number in range(5):
        await before.aput(("a",), f"k{number}", {"text": "apple"})
    await before.aput(("a",), "paths", {"text": "cat", "title": "apple"}, index=["title"])
    await before.aput(("a",), "none", {"text": "apple"}, index=False)
    after = opened(db, "backwards")
    assert {score for _, score in await keys(after, "song")} == {None}
    assert await refreshed(db, after) == 7
    assert await keys(after, "song") == [(f"k{n}", 0.0) for n in range(5)] + [("paths", 0.0), ("none", None)]
    assert {score for _, score in await keys(after, "pear")} == {1.0, None}
    assert await count(db, store_vectors) == 6
    assert await refreshed(db, after) == 0


async def test_other_fields_and_other_dimensions_count_as_another_index(db: Database, opened: Opened) -> None:
    await opened(db, "embed", "title").aput(("a",), "k", {"title": "apple", "text": "cat"})
    after = opened(db, "embed", "text")
    assert await refreshed(db, after) == 1
    assert await keys(after, "dog") == [("k", 1.0)]


async def test_what_a_server_without_index_has_written(db: Database, opened: Opened) -> None:
    first = opened(db)
    await first.aput(("a",), "k", {"text": "apple"})
    without = Store(db)
    await without.aput(("a",), "k", {"text": "cat"})
    await without.aput(("a",), "new", {"text": "rain"})
    await without.aput(("a",), "never", {"text": "rain"}, index=False)
    assert [(item.key, item.score) for item in await without.asearch((), query="cat")] == [
        ("never", None),
        ("new", None),
        ("k", None),
    ]
    again = opened(db)
    assert {score for _, score in await keys(again, "pear")} == {None}, "the old text must not be found"
    assert await refreshed(db, again) == 3
    assert await keys(again, "dog") == [("k", 1.0), ("new", 0.0), ("never", None)]


async def test_an_item_that_cannot_be_embedded_holds_up_no_other(db: Database, opened: Opened) -> None:
    without = Store(db)
    for key, text in {"1": "apple", "2": "poison", "3": "cat"}.items():
        await without.aput(("a",), key, {"text": text})
    store = opened(db)
    assert await refreshed(db, store) == 2
    assert await keys(store, "dog") == [("3", 1.0), ("1", 0.0), ("2", None)]


async def test_what_the_server_keeps_apart_is_shown_to_no_embedder(db: Database, opened: Opened) -> None:
    await Store(db, area="agents").aput(("a",), "k", {"text": "poison"})
    assert await refreshed(db, opened(db)) == 1


@pytest.mark.parametrize("by_a_server_with_index", [True, False])
async def test_an_item_written_meanwhile_keeps_what_was_written(
    db: Database, opened: Opened, monkeypatch: pytest.MonkeyPatch, by_a_server_with_index: bool
) -> None:
    await Store(db).aput(("a",), "k", {"text": "apple"})
    store = opened(db)
    embed = refreshing._embedded

    async def and_meanwhile(*args: Any) -> Any:
        found = await embed(*args)
        await (store if by_a_server_with_index else Store(db)).aput(("a",), "k", {"text": "cat"})
        return found

    monkeypatch.setattr(refreshing, "_embedded", and_meanwhile)
    assert await refreshed(db, store) == 0
    assert await keys(store, "dog") == [("k", 1.0 if by_a_server_with_index else None)]


async def test_only_the_last_configuration_and_one_process_at_a_time_embed(db: Database, opened: Opened) -> None:
    await Store(db).aput(("a",), "k", {"text": "apple"})
    old, new = opened(db, "embed"), opened(db, "backwards")
    assert await refreshed(db, old) == 0
    assert sum(await asyncio.gather(*(refreshed(db, new) for _ in range(3)))) == 1
    assert await keys(new, "music") == [("k", 0.0)]


async def test_a_server_does_it_by_itself(with_index: WithIndex) -> None:
    async with with_index() as sdk:
        await sdk.store.put_item(["a"], "k", {"text": "apple"})
    async with with_index("backwards") as sdk:

        async def score() -> bool:
            [item] = (await sdk.store.search_items(["a"], query="pear"))["items"]
            return item["score"] == 1.0

        await eventually(score, "embedding the item anew")
