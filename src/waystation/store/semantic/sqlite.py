"""Similarity on SQLite: a matrix of all vectors in memory, beside the table that they are kept in.

A search is exact: it multiplies the matrix with the query (8 ms for 100,000 vectors of 384 numbers), and asks the database about
the items of the best, in order. The matrix follows the table within the transaction that searches. Rows are never changed and
their ids only grow, so that new ones are all there is to read; rows that are gone find no item, and are dropped now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Integer, Select, and_, bindparam, column, func, select
from sqlalchemy.types import Text

from waystation.encoding import encode
from waystation.storage.tables import store_items
from waystation.store.queries import ITEM_COLUMNS, ItemRow, Matching
from waystation.store.semantic.embedder import Vector
from waystation.store.semantic.tables import store_vectors
from waystation.store.semantic.vectors import best_of_each

__all__ = ["MatrixVectors"]

LOOK = 2_000
"""Of the most similar vectors so many are looked at one after the other. Where fewer than wanted belong to matching items, few
items match, and it is quicker to find all of those first."""

FETCHED = 5_000
"""Rows read at a time into the matrix."""

DROPPED = 1_000
"""Rows that are gone and still in the matrix: beyond so many, and a quarter of it, they are dropped."""

_v, _i = store_vectors.c, store_items.c

_NEW = (
    select(_v.vector_id, _v.vector)
    .where(_v.vector_id > bindparam("last"), _v.generation == bindparam("generation"))
    .order_by(_v.vector_id)
)
_COUNT = select(func.count()).select_from(store_vectors)
_IDS = select(_v.vector_id).where(_v.generation == bindparam("generation"))


class MatrixVectors:
    """`waystation.store.semantic.vectors.Vectors` on SQLite. Usable from any thread."""

    def __init__(self, generation: int, dims: int) -> None:
        self.generation = generation
        self._dims = dims
        self._lock = threading.Lock()
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        """Of the rows of the matrix, ascending. Both have room for more than they hold."""
        self._matrix: NDArray[np.float32] = np.empty((0, dims), np.float32)
        self._used = 0
        with_items = store_vectors.join(store_items, and_(_v.namespace == _i.namespace, _v.key == _i.key))
        valid = (_v.generation == generation, _i.embedded_by == generation)
        these = func.json_each(bindparam("ids", type_=Text)).table_valued(column("value", Integer))
        self._matching_ids = select(_v.vector_id).select_from(with_items).where(*valid)
        self._items = (
            select(_v.vector_id, *ITEM_COLUMNS)
            .select_from(with_items)
            .where(*valid, _v.vector_id.in_(select(these.c.value)))
        )

    def stored(self, vector: Vector) -> bytes:
        return np.asarray(vector, "<f4").tobytes()

    def nearest(self, conn: Connection, query: Vector, matching: Matching, wanted: int) -> list[ItemRow]:
        ids, matrix = self._current(conn)
        scores = matrix @ np.asarray(query, np.float32)
        if wanted < LOOK:
            best = self._best(scores, LOOK)
            found = best_of_each(self._walk(conn, matching, ids[best], scores[best], wanted), wanted)
            if len(found) == wanted or len(best) == len(ids):
                return found
        statement = matching.of(conn, self._matching_ids)
        matched = np.fromiter(conn.execute(statement, matching.parameters).scalars(), np.int64)
        rows = np.flatnonzero(np.isin(ids, matched, assume_unique=True))
        order = rows[np.argsort(-scores[rows], kind="stable")]
        return best_of_each(self._walk(conn, matching, ids[order], scores[order], wanted), wanted)

    def _best(self, scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
        """Where the `count` highest scores are, the highest first; of equal ones the oldest."""
        places: NDArray[np.intp] = np.arange(len(scores))
        if len(scores) > count:
            places = np.sort(np.argpartition(scores, -count)[-count:])
        best: NDArray[np.intp] = places[np.argsort(-scores[places], kind="stable")]
        return best

    def _walk(
        self, conn: Connection, matching: Matching, ids: NDArray[np.int64], scores: NDArray[np.float32], wanted: int
    ) -> Iterator[ItemRow]:
        """The matching items of the vectors `ids`, in that order, read in ever larger chunks."""
        statement = matching.of(conn, self._items)
        start, chunk = 0, min(2 * wanted, LOOK)
        while start < len(ids):
            part = ids[start : start + chunk].tolist()
            rows = self._fetched(conn, statement, matching, part)
            for place, vector_id in enumerate(part, start):
                if (row := rows.get(vector_id)) is not None:
                    yield row._replace(score=min(1.0, max(-1.0, float(scores[place]))))
            start += chunk
            chunk = min(4 * chunk, LOOK)

    def _fetched(
        self, conn: Connection, statement: Select[Any], matching: Matching, ids: list[int]
    ) -> dict[int, ItemRow]:
        parameters = {**matching.parameters, "ids": encode(ids).decode()}
        return {row[0]: ItemRow(*row[1:]) for row in conn.execute(statement, parameters)}

    def _current(self, conn: Connection) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and vectors as of the transaction, and perhaps some more. Neither is changed any more."""
        with self._lock:
            last = int(self._ids[self._used - 1]) if self._used else 0
            new = conn.execute(_NEW, {"last": last, "generation": self.generation})
            for rows in new.partitions(FETCHED):
                self._append(rows)
            gone = self._used - conn.execute(_COUNT).scalar_one()
            if gone > max(DROPPED, self._used // 4):
                self._drop(conn)
            return self._ids[: self._used], self._matrix[: self._used]

    def _append(self, rows: Any) -> None:
        used = self._used + len(rows)
        if used > len(self._ids):
            room = max(used, len(self._ids) + len(self._ids) // 2)
            ids, matrix = np.empty(room, np.int64), np.empty((room, self._dims), np.float32)
            ids[: self._used], matrix[: self._used] = self._ids[: self._used], self._matrix[: self._used]
            self._ids, self._matrix = ids, matrix
        self._ids[self._used : used] = [row[0] for row in rows]
        self._matrix[self._used : used] = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(-1, self._dims)
        self._used = used

    def _drop(self, conn: Connection) -> None:
        """Forget the rows that are gone. Those beyond what this transaction sees have come after it began."""
        there = np.fromiter(conn.execute(_IDS, {"generation": self.generation}).scalars(), np.int64)
        ids = self._ids[: self._used]
        keep = np.isin(ids, there, assume_unique=True) | (ids > there.max(initial=0))
        self._ids, self._matrix = ids[keep], self._matrix[: self._used][keep]
        self._used = len(self._ids)
