"""Similarity on PostgreSQL: pgvector.

Each generation has an HNSW index of its own. It is walked from the most similar vector on until enough of them belong to matching items
(pgvector calls that an iterative scan), which is close to exact. Where few vectors come into question, or too many would have
to be walked past, all that match are compared, which is exact.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    and_,
    bindparam,
    cast,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from waystation.errors import ConfigError
from waystation.storage.tables import store_items
from waystation.store.queries import Matching, below
from waystation.store.semantic.embedder import Vector
from waystation.store.semantic.tables import PgVector, store_vectors
from waystation.store.semantic.vectors import Ranked, are_few, best_of_each

__all__ = ["PgVectors", "create_extension"]

LEAST_VERSION = (0, 8)
"""Of pgvector: the first with iterative scans."""

LARGEST_VECTOR, LARGEST_HALF = 2_000, 4_000
"""Numbers of a vector that pgvector can index, in single and in half precision."""

WIDTH = 100
"""Candidates that a walk of the index keeps at least (``hnsw.ef_search``): more find more of what is nearest, and take longer."""

FAR = 4_000
"""Vectors that a walk passes at most (``hnsw.max_scan_tuples``). It takes about as long as a filter takes for 100,000 items: where fewer
than wanted match by then, it is quicker to find those first."""

WIDEST = 1_000
"""What pgvector allows for it."""

EXTENSION = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")

_v, _i = store_vectors.c, store_items.c

_ABANDONED = text(
    "SELECT generation FROM store_indexes x WHERE generation < :generation "
    "AND NOT EXISTS (SELECT FROM store_vectors v WHERE v.generation = x.generation)"
)

_SETTINGS = text(
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', :width, true), "
    "set_config('hnsw.max_scan_tuples', :far, true)"
)


def create_extension(conn: Connection) -> None:
    """See to it that the database has pgvector. Raises ConfigError."""
    version = conn.execute(EXTENSION).scalar()
    if version is None:
        try:
            conn.execute(text("CREATE EXTENSION vector"))
        except DBAPIError as error:
            raise ConfigError(
                "store.index needs the PostgreSQL extension pgvector, and it could not be created: "
                f"{str(error.orig).splitlines()[0]}. Install pgvector on the database's machine if it is not there, and run "
                "CREATE EXTENSION vector in this database as a user who may."
            ) from error
        version = conn.execute(EXTENSION).scalar_one()
    if tuple(map(int, version.split(".")[:2])) < LEAST_VERSION:
        raise ConfigError(
            f"store.index needs pgvector 0.8 or newer; this database has {version}. Update pgvector on its machine, and run "
            "ALTER EXTENSION vector UPDATE as a user who may."
        )


class PgVectors:
    """`waystation.store.semantic.vectors.Vectors` on PostgreSQL. Usable from any thread."""

    def __init__(self, generation: int, dims: int) -> None:
        self.generation = generation
        self._indexed = f"vector({dims})" if dims <= LARGEST_VECTOR else f"halfvec({dims})"
        self._has_index = dims <= LARGEST_HALF
        # The index is of one generation, which the server has to see when it plans.
        self._own = f"generation = {int(generation)}"
        query = bindparam("query", type_=PgVector())
        with_items = store_vectors.join(store_items, and_(_v.namespace == _i.namespace, _v.key == _i.key))
        distance: ColumnElement[float] = _v.vector.op("<#>", return_type=Float())(query)
        indexed = PgVector(self._indexed)
        walked: ColumnElement[float] = cast(_v.vector, indexed).op("<#>", return_type=Float())(cast(query, indexed))
        rows = (
            select(_i.namespace, _i.key, (-distance).label("score"))
            .select_from(with_items)
            .where(text(f"store_vectors.{self._own}"), _i.embedded_by == self.generation)
            .limit(bindparam("most"))
        )
        self._walk = rows.order_by(walked)
        self._compare = rows.where(below(_v.namespace)).order_by(distance, _v.vector_id)

    def create_index(self, conn: Connection) -> None:
        """The HNSW index, unless it is there; and drop those of which no item is left."""
        if self._has_index:
            operators = "vector_ip_ops" if self._indexed.startswith("vector") else "halfvec_ip_ops"
            conn.execute(
                text(
                    f"CREATE INDEX IF NOT EXISTS ix_store_vectors_{self.generation} ON store_vectors "
                    f"USING hnsw ((vector::{self._indexed}) {operators}) WHERE {self._own}"
                )
            )
        for generation in conn.execute(_ABANDONED, {"generation": self.generation}).scalars().all():
            conn.execute(text(f"DROP INDEX IF EXISTS ix_store_vectors_{int(generation)}"))

    def stored(self, vector: Vector) -> str:
        return "[" + ",".join(map(repr, vector)) + "]"

    def nearest(self, conn: Connection, query: Vector, matching: Matching, wanted: int) -> list[Ranked]:
        sought = self.stored(query)
        if self._has_index and 0 < wanted <= WIDEST // 2 and not are_few(conn, matching):
            conn.execute(_SETTINGS, {"width": str(max(WIDTH, 2 * wanted)), "far": str(FAR)})
            found = self._found(conn, self._walk, sought, matching, wanted)
            if len(found) == wanted:
                return sorted(found, key=lambda item: -item.score)
        return self._found(conn, self._compare, sought, matching, wanted)

    def _found(
        self, conn: Connection, ranked: Select[Any], query: str, matching: Matching, wanted: int
    ) -> list[Ranked]:
        """The first `wanted` items of `ranked`; with several vectors for an item more rows than that are needed."""
        statement = matching.of(conn, ranked)
        most = wanted + wanted // 2
        while True:
            rows = conn.execute(statement, {**matching.parameters, "query": query, "most": most}).all()
            found = best_of_each((Ranked(*row) for row in rows), wanted)
            if len(found) == wanted or len(rows) < most:
                return found
            most *= 4
