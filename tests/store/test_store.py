"""What graphs see of the store."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
)
from pydantic import BaseModel
from sqlalchemy import Connection, text

from tests.databases import DIALECT, open_database
from waystation.encoding import to_plain
from waystation.errors import BadInput
from waystation.storage.database import Database
from waystation.store import Store


async def keys(store: Store, filter: dict[str, Any], prefix: tuple[str, ...] = ()) -> set[str]:
    return {item.key for item in await store.asearch(prefix, filter=filter, limit=100)}


async def test_an_item_comes_back_as_it_was_stored(store: Store) -> None:
    await store.aput(("users", "u1"), "prefs", {"theme": "dark", "sizes": [1, 2.5, None], "on": True})
    item = await store.aget(("users", "u1"), "prefs")
    assert item is not None
    assert (item.namespace, item.key) == (("users", "u1"), "prefs")
    assert item.value == {"theme": "dark", "sizes": [1, 2.5, None], "on": True}
    assert item.created_at == item.updated_at
    assert item.created_at.utcoffset() is not None


async def test_values_are_kept_as_the_json_a_client_would_see(store: Store) -> None:
    class Point(BaseModel):
        x: int

    value: dict[Any, Any] = {"point": Point(x=1), "price": Decimal("1.5"), "tags": {"one"}, 7: "nul\0"}
    await store.aput(("a",), "k", value)
    item = await store.aget(("a",), "k")
    assert item is not None
    assert item.value == {"point": {"x": 1}, "price": 1.5, "tags": ["one"], "7": "nul\ufffd"}


async def test_overwriting_keeps_the_time_of_creation(store: Store) -> None:
    await store.aput(("a",), "k", {"v": 1})
    first = await store.aget(("a",), "k")
    await store.aput(("a",), "k", {"v": 2})
    second = await store.aget(("a",), "k")
    assert first is not None
    assert second is not None
    assert second.value == {"v": 2}
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at


async def test_an_item_created_again_after_deletion_is_new(store: Store) -> None:
    await store.aput(("a",), "k", {"v": 1})
    first = await store.aget(("a",), "k")
    await store.adelete(("a",), "k")
    assert await store.aget(("a",), "k") is None
    await store.aput(("a",), "k", {"v": 1})
    second = await store.aget(("a",), "k")
    assert first is not None
    assert second is not None
    assert second.created_at > first.created_at


async def test_reads_of_a_batch_see_the_store_before_its_writes(store: Store) -> None:
    await store.aput(("a",), "k", {"v": 1})
    ops: list[Op] = [
        PutOp(("a",), "k", {"v": 2}),
        GetOp(("a",), "k"),
        PutOp(("b",), "new", {}),
        PutOp(("a",), "k", {"v": 3}),
        SearchOp(("b",)),
        PutOp(("b",), "new", None),
        ListNamespacesOp(),
    ]
    results = await store.abatch(ops)
    assert [to_plain(result and getattr(result, "value", result)) for result in results] == [
        None,
        {"v": 1},
        None,
        None,
        [],
        None,
        [["a"]],
    ]
    last = await store.aget(("a",), "k")
    assert last is not None
    assert last.value == {"v": 3}
    assert await store.aget(("b",), "new") is None


async def test_a_batch_with_an_impossible_operation_changes_nothing(store: Store) -> None:
    with pytest.raises(BadInput, match="frobnicate"):
        await store.abatch([PutOp(("a",), "k", {}), SearchOp((), {"n": {"$frobnicate": 1}})])
    await store.aput(("a",), "text", {"n": "many"})
    with pytest.raises(BadInput, match="'text'"):
        await store.abatch([PutOp(("a",), "k", {}), SearchOp((), {"n": {"$gt": 1}})])
    assert await store.aget(("a",), "k") is None


async def test_search_returns_the_latest_update_first_in_pages(store: Store) -> None:
    for number in range(5):
        await store.aput(("a", str(number)), f"k{number}", {})
    await store.aput(("a", "1"), "k1", {})
    pages = [await store.asearch(("a",), limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[item.key for item in page] for page in pages] == [["k1", "k4"], ["k3", "k2"], ["k0"], []]
    assert [item.score for item in pages[0]] == [None, None]


async def test_a_prefix_ends_at_a_label(store: Store) -> None:
    for namespace in [("user",), ("user", "x"), ("users",), ("user-2",), ("usés",)]:
        await store.aput(namespace, "k", {})
    assert {item.namespace for item in await store.asearch(("user",))} == {("user",), ("user", "x")}


async def test_filter_operators(store: Store) -> None:
    await store.aput(("a",), "one", {"n": 1, "tag": "x"})
    await store.aput(("a",), "two", {"n": 2.5, "tag": "x"})
    await store.aput(("a",), "none", {"n": None, "tag": "y"})
    await store.aput(("a",), "absent", {"tag": "y"})
    assert await keys(store, {"n": {"$gt": 1}}) == {"two"}
    assert await keys(store, {"n": {"$gte": 1, "$lt": 2.5}}) == {"one"}
    assert await keys(store, {"n": {"$lte": 2.5}, "tag": {"$ne": "y"}}) == {"one", "two"}
    assert await keys(store, {"n": {"$eq": 1.0}}) == {"one"}
    assert await keys(store, {"n": {"$ne": 1}}) == {"two", "none", "absent"}
    assert await keys(store, {"n": None}) == {"none", "absent"}
    assert await keys(store, {"n": {"$ne": None}}) == {"one", "two"}


async def test_values_of_different_types_are_never_equal(store: Store) -> None:
    values: dict[str, Any] = {"true": True, "one": 1, "text": "1", "word": "true", "list": [1], "object": {"a": 1}}
    for key, value in values.items():
        await store.aput(("a",), key, {"v": value})
    for key, value in values.items():
        assert await keys(store, {"v": {"$eq": value}}) == {key}


async def test_eq_compares_objects_and_arrays_as_a_whole(store: Store) -> None:
    await store.aput(("a",), "exact", {"v": {"a": [1, {"b": None}], "c": 2}})
    await store.aput(("a",), "more", {"v": {"a": [1, {"b": None}], "c": 2, "d": 3}})
    await store.aput(("a",), "less", {"v": {"a": [1, {}], "c": 2}})
    assert await keys(store, {"v": {"$eq": {"c": 2, "a": [1, {"b": None}]}}}) == {"exact"}
    assert await keys(store, {"v": {"$ne": {"c": 2, "a": [1, {"b": None}]}}}) == {"more", "less"}
    assert await keys(store, {"v": {"a": [1, {"b": None}]}}) == {"exact", "more", "less"}


@pytest.mark.parametrize("field", ["a.b", 'quo"te', "back\\slash", "", "new\nline", "$[0]", "it's", "[0]", "ключ"])
async def test_any_text_is_the_name_of_a_field(store: Store, field: str) -> None:
    await store.aput(("a",), "outer", {"x": {field: {field: 3}}})
    await store.aput(("a",), "other", {"x": {"f": {"f": 3}}, "a": {"b": 3}})
    await store.aput(("a",), "scalar", {"x": "text"})
    if not field.startswith("$"):
        assert await keys(store, {"x": {field: {field: {"$gt": 2}}}}) == {"outer"}
    assert await keys(store, {"x": {"$eq": {field: {field: 3}}}}) == {"outer"}


async def test_integers_beyond_64_bits_do_not_break_a_search(store: Store) -> None:
    await store.aput(("a",), "big", {"n": 2**70})
    await store.aput(("a",), "small", {"n": 1})
    assert await keys(store, {"n": {"$gt": 2**69}}) == {"big"}
    assert await keys(store, {"n": 2**70}) == {"big"}
    assert await store.asearch((), limit=2**70, offset=2**70) == []


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"n": {"$in": [1]}}, r"\$in"),
        ({"n": {"$gt": 1, "plain": 2}}, "plain"),
        ({"n": {"$gt": "1"}}, r"\$gt"),
        ({"n": {"$lte": True}}, r"\$lte"),
        ({"n": {"$lt": None}}, r"\$lt"),
        ({"$or": [{"n": 1}]}, r"\$or"),
        ({"n": list(range(300))}, "200"),
        ({"n": {"$eq": [[[[[[[[[[1]]]]]]]]]]}}, "10 levels"),
    ],
)
async def test_filters_that_mean_nothing_are_refused(store: Store, filter: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        await store.asearch((), filter=filter)
    with pytest.raises(ValueError, match=named):  # what graphs written for other stores catch
        await store.asearch((), filter=filter)


async def test_the_largest_filter_is_within_the_limits_of_the_database(store: Store) -> None:
    await store.aput(("a",), "long", {"v": list(range(190))})
    assert await keys(store, {"v": list(range(190))}) == {"long"}
    assert await keys(store, {"v": {"$ne": list(range(190))}}) == set()
    deep: Any = 1
    for _ in range(8):
        deep = {'"': deep}
    await store.aput(("a",), "deep", {"v": deep})
    assert await keys(store, {"v": deep}) == {"deep"}


async def test_ordering_fails_only_on_items_that_match_otherwise(store: Store) -> None:
    await store.aput(("a",), "text", {"n": "many", "kind": "x"})
    await store.aput(("a",), "number", {"n": 5, "kind": "y"})
    assert await keys(store, {"n": {"$gt": 1}, "kind": "y"}) == {"number"}
    with pytest.raises(BadInput, match="'n' of the item 'text'"):
        await store.asearch((), filter={"n": {"$gt": 1}})
    assert await keys(store, {"n": {"$gt": 1}}, prefix=("b",)) == set()


async def test_listing_skips_nothing_in_large_trees(store: Store) -> None:
    names = [("t", f"{number:04}", leaf) for number in range(600) for leaf in ("a", "b")]
    await store.abatch([PutOp(name, "k", {}) for name in [("s",), ("t",), ("t", "0001", "b", "c"), *names]])
    assert await store.alist_namespaces(max_depth=1) == [("s",), ("t",)]
    assert await store.alist_namespaces(max_depth=2, offset=599, limit=5) == [
        ("t", "0597"),
        ("t", "0598"),
        ("t", "0599"),
    ]
    assert await store.alist_namespaces(suffix=("b",), limit=2000) == [name for name in names if name[2] == "b"]
    assert await store.alist_namespaces(prefix=("t", "*", "b"), suffix=("c",)) == [("t", "0001", "b", "c")]


@pytest.mark.parametrize(
    "op",
    [
        GetOp(("a.b",), "k"),
        PutOp(("",), "k", {}),
        PutOp(("a\0",), "k", {}),
        SearchOp(("\ud800",)),
        ListNamespacesOp((MatchCondition("prefix", ("a.b",)),)),
    ],
)
async def test_labels_that_cannot_be_stored_are_refused(store: Store, op: Op) -> None:
    with pytest.raises(InvalidNamespaceError):
        await store.abatch([op])


@pytest.mark.parametrize(
    "op",
    [
        PutOp(("a",), "k", [1]),  # type: ignore[arg-type]
        PutOp(("a",), "k\0", {}),
        PutOp(("a",), "\ud800", {}),
        PutOp(("a",), "k", {}, ttl=0),
        PutOp(("a",), "k", {}, ttl=float("nan")),
        SearchOp(("a",), limit=-1),
        SearchOp(("a",), offset=-1),
        ListNamespacesOp(max_depth=0),
        ListNamespacesOp((MatchCondition("infix", ("a",)),)),  # type: ignore[arg-type]
    ],
)
async def test_operations_that_mean_nothing_are_refused(store: Store, op: Op) -> None:
    with pytest.raises(BadInput):
        await store.abatch([op])


async def test_concurrent_writes_of_one_item_leave_one_of_them(store: Store) -> None:
    await asyncio.gather(*(store.aput(("a",), "k", {"n": number}) for number in range(50)))
    assert len(await store.asearch(("a",))) == 1


class State(TypedDict):
    seen: int


async def test_every_way_a_graph_reaches_the_store(store: Store) -> None:
    """Synchronous and asynchronous nodes, and synchronous calls on the event loop itself, in one graph."""
    threads = set()

    def plain(_: State, runtime: Runtime[None]) -> State:
        threads.add(threading.current_thread())
        assert runtime.store is not None
        runtime.store.put(("n",), "plain", {"v": 1})
        return {"seen": len(runtime.store.search(("n",)))}

    async def asynchronous(_: State, store: BaseStore) -> State:
        await store.aput(("n",), "asynchronous", {"v": 2})
        return {"seen": len(await store.asearch(("n",)))}

    async def blocking(_: State, store: BaseStore) -> State:
        threads.add(threading.current_thread())
        store.put(("n",), "blocking", {"v": 3}, ttl=5)
        assert store.get(("n",), "blocking") is not None
        store.delete(("n",), "plain")
        return {"seen": len(store.search(("n",))) * 10 + len(store.list_namespaces())}

    builder: Any = StateGraph(State)
    builder.add_node(plain)
    builder.add_node(asynchronous)
    builder.add_node(blocking)
    builder.add_edge(START, "plain")
    builder.add_edge("plain", "asynchronous")
    builder.add_edge("asynchronous", "blocking")
    graph = builder.compile(store=store)
    assert await graph.ainvoke({"seen": 0}) == {"seen": 21}
    assert {item.key for item in await store.asearch(("n",))} == {"asynchronous", "blocking"}
    assert threading.main_thread() in threads
    assert len(threads) == 2


async def test_items_are_still_there_after_a_restart(store: Store, db: Database, tmp_path: Path) -> None:
    await store.aput(("a",), "k", {"v": 1})
    await db.close()
    again = open_database(tmp_path / "test.db")
    try:
        item = await Store(again).aget(("a",), "k")
    finally:
        await again.close()
    assert item is not None
    assert item.value == {"v": 1}


@pytest.mark.skipif(DIALECT != "sqlite", reason="PostgreSQL chooses its plans by statistics")
async def test_prefix_searches_use_the_index(db: Database) -> None:
    def plan(conn: Connection) -> str:
        query = "EXPLAIN QUERY PLAN SELECT value FROM store_items WHERE namespace >= 'a\t' AND namespace < 'a\n'"
        return " ".join(str(row) for row in conn.execute(text(query)))

    assert "SEARCH store_items USING INDEX" in await db.read(plan)
