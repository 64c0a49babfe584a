"""The seam between the index and how a dialect keeps and compares vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import BigInteger, Connection, bindparam, func, insert, select
from sqlalchemy.types import Text

from waystation.store.queries import Matching, below
from waystation.store.semantic.embedder import Vector
from waystation.store.semantic.tables import store_vectors

__all__ = ["Ranked", "Vectors", "are_few", "best_of_each", "replace"]

_v = store_vectors.c

_FORGET = store_vectors.delete().where(
    _v.namespace == bindparam("of_namespace", type_=Text), _v.key == bindparam("of_key", type_=Text)
)


FEW = 5_000
"""Vectors at or below a namespace that are compared by themselves, instead of being looked for among all."""

_COUNT_BELOW = select(func.count()).select_from(
    select(_v.generation).where(below(_v.namespace)).limit(bindparam("most", type_=BigInteger)).subquery()
)


class Ranked(NamedTuple):
    """An item, by its namespace in the stored form and its key, and how near it is, from -1 to 1."""

    namespace: str
    key: str
    score: float

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.key


class Vectors(Protocol):
    """The vectors of one generation of the index."""

    @property
    def generation(self) -> int:
        """Of `store_indexes`."""
        ...

    def stored(self, vector: Vector) -> Any:
        """The value of the column for `vector`."""
        ...

    def nearest(self, conn: Connection, query: Vector, matching: Matching, wanted: int) -> list[Ranked]:
        """The first `wanted` of the matching items that have vectors, the most similar one first. There are fewer
        only if no others match."""
        ...


def are_few(conn: Connection, matching: Matching) -> bool:
    """Whether no more than `FEW` vectors are at or below the namespace of `matching`."""
    count: int = conn.execute(_COUNT_BELOW, {**matching.parameters, "most": FEW + 1}).scalar_one()
    return count <= FEW


def replace(conn: Connection, vectors: Vectors, items: Mapping[tuple[str, str], Sequence[Vector]]) -> None:
    """Let each item, which was stored before in this transaction, have these vectors and no others."""
    conn.execute(_FORGET, [{"of_namespace": namespace, "of_key": key} for namespace, key in items])
    rows = [
        {"generation": vectors.generation, "namespace": namespace, "key": key, "vector": vectors.stored(vector)}
        for (namespace, key), own in items.items()
        for vector in own
    ]
    if rows:
        conn.execute(insert(store_vectors), rows)


def best_of_each(ranked: Iterable[Ranked], wanted: int) -> list[Ranked]:
    """The first mention of each item, as far as `wanted`. The others are of items with several vectors."""
    best: dict[tuple[str, str], Ranked] = {}
    if wanted:
        for item in ranked:
            best.setdefault(item.place, item)
            if len(best) == wanted:
                break
    return list(best.values())
