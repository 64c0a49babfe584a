"""Search of the store by meaning, among many items, on SQLite and PostgreSQL. Bar: 50 ms (p50) among 100,000 of 384 numbers.

usage: semantic.py [--dialect sqlite|postgresql] [--items 100000] [--dims 384] [--seconds 3]
Straight at the store that graphs and routes use; the embedder is a table of vectors made by chance, in clusters as real ones are.
PostgreSQL's answers are compared with exact ones: the share of the ten nearest that its index finds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, text

from backends import leave_in_good_order
from threads import opened, place, timed
from waystation.config import IndexConfig
from waystation.storage.database import Database
from waystation.storage.tables import store_items
from waystation.store import Store
from waystation.store.semantic.embedder import Embedder
from waystation.store.semantic.index import Index
from waystation.store.semantic.opening import prepare_index
from waystation.store.semantic.tables import store_vectors
from waystation.store.semantic.vectors import Vectors
from waystation.timestamps import now_us

BATCH = 5_000
CLUSTERS = 500
USERS = 100
QUESTIONS = 100


class Chance:
    """Vectors of items and of questions, by number; the embedder of the questions."""

    def __init__(self, items: int, dims: int) -> None:
        generator = np.random.default_rng(1)
        centers = generator.standard_normal((CLUSTERS, dims), np.float32)

        def some(number: int) -> NDArray[np.float32]:
            near = centers[generator.integers(0, CLUSTERS, number)]
            vectors = near + 0.7 * generator.standard_normal((number, dims), np.float32)
            lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= lengths
            return vectors

        self.items, self.questions = some(items), some(QUESTIONS)

    async def aembed_query(self, question: str) -> list[float]:
        return self.questions[int(question)].tolist()  # type: ignore[no-any-return]


def main() -> None:
    leave_in_good_order()
    options = _options()
    chance = Chance(options.items, options.dims)
    for dialect in [options.dialect] if options.dialect else ["sqlite", "postgresql"]:
        with place(dialect) as environ:
            asyncio.run(_measure(environ, dialect, chance, options.seconds))


async def _measure(environ: Mapping[str, str], dialect: str, chance: Chance, seconds: float) -> None:
    async with opened(environ) as db:
        started = time.perf_counter()
        vectors = await _populate(db, chance)
        print(f"\n{dialect}, {len(chance.items):,} items of {chance.items.shape[1]} numbers")
        print(f"inserted and indexed in {time.perf_counter() - started:.0f} s")
        embedder = Embedder(chance, chance.items.shape[1])  # type: ignore[arg-type]
        store = Store(db, index=Index(["$"], embedder, vectors))
        started = time.perf_counter()
        await store.asearch((), query="0")
        print(f"{'first search':48}     {(time.perf_counter() - started) * 1000:9.2f}")
        await timed("query", seconds, _asking(store))
        await timed("query, limit 100", seconds, _asking(store, limit=100))
        await timed("query, offset 1,000", seconds, _asking(store, offset=1_000))
        await timed("query + namespace prefix (1/2)", seconds, _asking(store, ("half-1",)))
        await timed("query + namespace prefix (1/100)", seconds, _asking(store, ("half-1", "user-7")))
        await timed("query + filter (1/5)", seconds, _asking(store, filter={"tag": "t3"}))
        await timed("query + filter (1/50)", seconds, _asking(store, filter={"nested": {"team": 3}}))
        await timed("query + filter (1/1,000)", seconds, _asking(store, filter={"rare": 7}))
        await timed("query + filter (1/10,000)", seconds, _asking(store, filter={"rarest": 7}))
        await timed("the same filter without query", seconds, partial(store.asearch, (), filter={"rarest": 7}))
        await timed(
            "query + prefix (1/100) + filter (1/5)", seconds, _asking(store, ("half-1", "user-7"), {"tag": "t2"})
        )
        print(f"{'found of the ten nearest':48}     {await _recall(store, chance):9.1%}")
        embedder.close()


def _asking(
    store: Store, prefix: tuple[str, ...] = (), filter: dict[str, Any] | None = None, limit: int = 10, offset: int = 0
) -> Callable[[], Awaitable[Any]]:
    """A search for another question each time."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        await store.asearch(prefix, query=str(asked % QUESTIONS), filter=filter, limit=limit, offset=offset)

    return ask


async def _recall(store: Store, chance: Chance) -> float:
    shares = []
    for number, question in enumerate(chance.questions):
        nearest = set(map(str, np.argsort(-(chance.items @ question))[:10].tolist()))
        found = {item.key for item in await store.asearch((), query=str(number))}
        shares.append(len(found & nearest) / 10)
    return statistics.mean(shares)


async def _populate(db: Database, chance: Chance) -> Vectors:
    """All items with their vectors. On PostgreSQL the index is made afterwards, which is what a restored dump does too."""
    count, dims = chance.items.shape
    config = IndexConfig(dims, "chance:1")
    vectors = await asyncio.to_thread(prepare_index, db, config)
    await db.write(_without_index, vectors.generation)
    for first in range(0, count, BATCH):
        await db.write(_insert, vectors, chance, range(first, min(first + BATCH, count)))
    vectors = await asyncio.to_thread(prepare_index, db, config)
    await db.write(_settle)
    return vectors


def _without_index(conn: Connection, generation: int) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"DROP INDEX ix_store_vectors_{generation}"))


def _insert(conn: Connection, vectors: Vectors, chance: Chance, numbers: range) -> None:
    items, rows = [], []
    for number in numbers:
        name = {
            "namespace": f"default\thalf-{number % 2}\tuser-{number % USERS}\tmemories\t",
            "key": str(number),
        }
        value = {
            "text": f"memory {number} " + "x" * 200,
            "tag": f"t{number % 5}",
            "nested": {"team": number % 50},
            "rare": number % 1_000,
            "rarest": number % 10_000,
        }
        at = now_us()
        items.append({**name, "value": value, "created_at": at, "updated_at": at, "embedded_by": vectors.generation})
        rows.append(
            {**name, "generation": vectors.generation, "vector": vectors.stored(array("f", chance.items[number]))}
        )
    conn.execute(insert(store_items), items)
    conn.execute(insert(store_vectors), rows)


def _settle(conn: Connection) -> None:
    """What PostgreSQL's autovacuum does within a minute of so many inserts."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("ANALYZE store_items"))
        conn.execute(text("ANALYZE store_vectors"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=("sqlite", "postgresql"), help="one instead of both")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--seconds", type=float, default=3, help="the longest that a case is repeated")
    return parser.parse_args()


if __name__ == "__main__":
    main()
