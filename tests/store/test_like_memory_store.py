"""`Store` and LangGraph's own in-memory store give the same answers to the same batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import GetOp, Item, ListNamespacesOp, MatchCondition, Op, PutOp, Result, SearchOp
from langgraph.store.memory import InMemoryStore

from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import metadata, store_items
from waystation.store import reads
from waystation.store.store import Store

LABELS = ["a", "a-b", "a b", "b", "ü", "a\tb", "a\x01", "a\nI", "a%", "_"]
FIELDS = ["n", "a.b", 'quo"te', "back\\slash", "", "ключ", "new\nline", "$ref"]

labels = st.sampled_from(LABELS)
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
keys = st.sampled_from(["k1", "k2", "ключ", "", "a'b"])
fields = st.sampled_from(FIELDS[:-1])
scalars = st.one_of(
    st.none(), st.integers(2, 5), st.sampled_from([2.0, 2.5]), st.sampled_from(["", "2", "x", "[]", "null"])
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(fields, inner, max_size=2)),
    max_leaves=4,
)
values = st.dictionaries(fields, nested, max_size=3)
operators = st.one_of(
    st.builds(lambda value: {"$eq": value}, nested),
    st.builds(lambda value: {"$ne": value}, nested),
    st.builds(lambda a, b: {"$ne": a, "$eq": b}, nested, nested),
)
filters = st.one_of(st.none(), st.dictionaries(fields, st.one_of(nested, operators), min_size=1, max_size=2))
paths = st.lists(st.one_of(labels, st.just("*")), max_size=3).map(tuple)
conditions = st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), paths)

puts = st.builds(lambda *args: PutOp(*args), namespaces, keys, st.one_of(st.none(), values, values))
gets = st.builds(lambda *args: GetOp(*args), namespaces, keys)
searches = st.builds(
    lambda prefix, wanted: SearchOp(prefix, wanted, limit=1000), st.lists(labels, max_size=2).map(tuple), filters
)
listings = st.builds(
    lambda *args: ListNamespacesOp(*args),
    st.one_of(st.none(), st.lists(conditions, max_size=2).map(tuple)),
    st.one_of(st.none(), st.integers(1, 3)),
    st.integers(0, 6),
    st.integers(0, 3),
)
batches = st.lists(st.lists(st.one_of(puts, puts, gets, searches, listings), max_size=8), max_size=6)


def comparable(result: Result) -> Any:
    """A result without times, and without the order of a search, in which stores differ."""
    if isinstance(result, Item):
        return result.namespace, result.key, result.value
    if isinstance(result, list) and result and isinstance(result[0], Item):
        return sorted((comparable(item) for item in result if isinstance(item, Item)), key=lambda item: item[:2])
    return result


class Memory(InMemoryStore):
    """LangGraph's store, except that it does not list namespaces without items: a table knows no such thing."""

    def _handle_list_namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        for namespace in [name for name, items in self._data.items() if not items]:
            del self._data[namespace]
        return super()._handle_list_namespaces(op)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    db = SqliteDatabase(tmp_path_factory.mktemp("store") / "store.db")
    db.write_blocking(metadata.create_all)
    yield db
    asyncio.run(db.close())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([1, 2, 50]), batches)
def test_same_answers(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, chunk: int, sequence: list[list[Op]]
) -> None:
    monkeypatch.setattr(reads, "NAMESPACES_AT_FIRST", chunk)
    database.write_blocking(lambda conn: conn.execute(store_items.delete()))
    store, memory = Store(database), Memory()
    for ops in sequence:
        expected = memory.batch(ops)
        assert [comparable(result) for result in store.batch(ops)] == [comparable(result) for result in expected]


numbers = st.one_of(st.integers(-3, 3), st.sampled_from([-0.5, 1.0, 2.25]))
orders = st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$ne", "$eq"]), numbers, min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["n", 'm"']), numbers, min_size=2), max_size=5), orders, orders)
def test_same_order_comparisons(
    database: SqliteDatabase, items: list[dict[str, Any]], first: dict[str, Any], second: dict[str, Any]
) -> None:
    database.write_blocking(lambda conn: conn.execute(store_items.delete()))
    store, memory = Store(database), Memory()
    for position, value in enumerate(items):
        store.put(("a",), str(position), value)
        memory.put(("a",), str(position), value)
    wanted = {"n": first, 'm"': second}
    assert {item.key for item in store.search(("a",), filter=wanted)} == {
        item.key for item in memory.search(("a",), filter=wanted)
    }
