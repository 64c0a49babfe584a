"""Similarity on SQLite: a matrix of all vectors in memory, beside the table that they are kept in.

A search is exact: it multiplies the matrix with the query (8 ms for 100,000 vectors of 384 numbers), and asks the database about
the items of the best, in order. The matrix follows the table within the transaction that searches. Rows are never changed and
their ids only grow, so that new ones are all there is to read; rows that are gone find no item, and are dropped now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Integer, and_, bindparam, column, func, select, tuple_
from sqlalchemy.types import Text

from waystation.encoding import encode
from waystation.storage.containment import unindexed
from waystation.storage.tables import store_items
from waystation.store.queries import ALSO_BELOW, Matching, below
from waystation.store.semantic.embedder import Vector
from waystation.store.semantic.tables import store_vectors
from waystation.store.semantic.vectors import Ranked, are_few, best_of_each

__all__ = ["MatrixVectors"]

FIRST = 2_000
"""The most similar vectors that are put in order at first; the others only when these are not enough."""

FAR = 20_000
"""Of the most similar vectors so many are looked at in order. Where fewer than wanted belong to matching items, few items match, and
it is quicker to find those first."""

LARGEST_CHUNK = 4_000
"""Vectors looked at by one statement; they begin with some more than are wanted, and double."""

FETCHED = 5_000
"""Rows read at a time into the matrix."""

GROWTH = 1_000
"""After so many new rows, and a quarter of what there was, those that are gone are dropped from the matrix."""

_v, _i = store_vectors.c, store_items.c

_NEW = (
    select(_v.vector_id, _v.vector)
    .where(_v.vector_id > bindparam("last"), _v.generation == bindparam("generation"))
    .order_by(_v.vector_id)
)
_BELOW = select(_v.vector_id).where(below(_v.namespace))
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
        self._used = self._full = 0
        these = func.json_each(bindparam("ids", type_=Text)).table_valued(column("value", Integer))
        valid = unindexed(_i.embedded_by) == generation
        self._ranked = (
            select(_v.vector_id, _i.namespace, _i.key)
            .select_from(store_vectors.join(store_items, and_(_v.namespace == _i.namespace, _v.key == _i.key)))
            .where(_v.vector_id.in_(select(these.c.value)), valid)
        )
        self._matching = select(_i.namespace, _i.key).where(valid)

    def stored(self, vector: Vector) -> bytes:
        return np.asarray(vector, "<f4").tobytes()

    def nearest(self, conn: Connection, query: Vector, matching: Matching, wanted: int) -> list[Ranked]:
        ids, matrix = self._current(conn)
        sought = np.asarray(query, np.float32)
        if are_few(conn, matching):
            rows = _rows_of(ids, conn.execute(_BELOW, matching.parameters).scalars())
            return self._first(conn, matching, ids[rows], matrix[rows] @ sought, wanted)
        scores = matrix @ sought
        for count in (FIRST, FAR):
            if wanted < count:
                best = _highest(scores, count)
                found = self._first(conn, matching, ids[best], scores[best], wanted)
                if len(found) == wanted or len(best) == len(ids):
                    return found
        statement = select(_v.vector_id).where(
            tuple_(_v.namespace, _v.key).in_(matching.of(conn, self._matching)), _v.generation == self.generation
        )
        rows = _rows_of(ids, conn.execute(statement, matching.parameters).scalars())
        return self._first(conn, matching, ids[rows], scores[rows], wanted)

    def _first(
        self, conn: Connection, matching: Matching, ids: NDArray[np.int64], scores: NDArray[np.float32], wanted: int
    ) -> list[Ranked]:
        """The first `wanted` of the matching items that the vectors `ids` belong to."""
        order = np.argsort(-scores, kind="stable")  # of equal ones the oldest comes first
        return best_of_each(self._walk(conn, matching, ids[order], scores[order], wanted), wanted)

    def _walk(
        self, conn: Connection, matching: Matching, ids: NDArray[np.int64], scores: NDArray[np.float32], wanted: int
    ) -> Iterator[Ranked]:
        """The matching items of the vectors `ids`, in that order, looked up in ever larger chunks."""
        statement = matching.of(conn, self._ranked, ALSO_BELOW)
        start, chunk = 0, min(2 * wanted, LARGEST_CHUNK)
        while start < len(ids):
            part = ids[start : start + chunk].tolist()
            rows = conn.execute(statement, {**matching.parameters, "ids": encode(part).decode()})
            places = {row[0]: row[1:] for row in rows}
            for vector_id, score in zip(part, scores[start:].tolist(), strict=False):
                if vector_id in places:
                    namespace, key = places[vector_id]
                    yield Ranked(namespace, key, score)
            start += chunk
            chunk = min(2 * chunk, LARGEST_CHUNK)

    def _current(self, conn: Connection) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and vectors as of the transaction, and perhaps some more. Neither is changed any more."""
        with self._lock:
            last = int(self._ids[self._used - 1]) if self._used else 0
            new = conn.execute(_NEW, {"last": last, "generation": self.generation})
            for rows in new.partitions(FETCHED):
                self._append(rows)
            if self._used > self._full:
                if last:
                    self._drop(conn)
                self._full = self._used + max(GROWTH, self._used // 4)
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


def _highest(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Where the `count` highest scores are, in the order of the rows."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.sort(np.argpartition(scores, -count)[-count:])


def _rows_of(ids: NDArray[np.int64], wanted: Iterable[int]) -> NDArray[np.intp]:
    """Which rows of the matrix have one of the ids."""
    rows: NDArray[np.intp] = np.flatnonzero(np.isin(ids, np.fromiter(wanted, np.int64), assume_unique=True))
    return rows
