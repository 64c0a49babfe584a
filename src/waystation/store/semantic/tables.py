"""What semantic search keeps in the database beside the items.

The table of the vectors is made when an index is configured, not by a migration: on PostgreSQL its type comes from an
extension, which a database without semantic search need not have.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    insert,
    select,
    text,
)
from sqlalchemy.types import UserDefinedType

from waystation.config import IndexConfig
from waystation.storage.tables import Key, metadata, store_indexes, store_items

__all__ = ["PgVector", "prepare", "store_vectors"]


class PgVector(UserDefinedType[str]):
    """One of pgvector's types; parameters are text (``[0.5,1]``)."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, name: str = "vector") -> None:
        """`name` may have the number of dimensions: ``halfvec(3072)``."""
        self.name = name

    def get_col_spec(self, **kw: Any) -> str:
        return self.name


store_vectors = Table(
    "store_vectors",
    MetaData(naming_convention=metadata.naming_convention),
    Column("vector_id", Key, primary_key=True, autoincrement=True),
    Column("generation", BigInteger, nullable=False),
    Column("namespace", store_items.c.namespace.type, nullable=False),
    Column("key", store_items.c.key.type, nullable=False),
    Column("vector", LargeBinary().with_variant(PgVector(), "postgresql"), nullable=False),
    ForeignKeyConstraint(
        ["namespace", "key"], [store_items.c.namespace, store_items.c.key], name="fk_store_vectors", ondelete="CASCADE"
    ),
    Index("ix_store_vectors_namespace_key_generation", "namespace", "key", "generation"),
    sqlite_autoincrement=True,
)
"""One row for each embedded text of an item, of length 1: inner products are cosines. Rows are never changed, and their ids never
used again, which is what `waystation.store.semantic.sqlite` relies on. On SQLite a vector is single-precision numbers, little-endian.

What counts is `embedded_by` of the item: a server without an index that overwrites an item leaves vectors behind.
"""

_FIND_TO_EMBED = text(
    "CREATE INDEX IF NOT EXISTS ix_store_items_embedded_by ON store_items (embedded_by, namespace, key)"
)


def prepare(conn: Connection, config: IndexConfig, now: int) -> int:
    """Make the tables as far as they are missing, and put `config` in force; returns its generation.

    Another embedder, other dimensions or other fields than last time make a new generation, for which all items have yet to be
    embedded.
    """
    store_vectors.create(conn, checkfirst=True)
    conn.execute(_FIND_TO_EMBED)
    own = {"embed": config.embed, "dims": config.dims, "fields": list(config.fields)}
    last = conn.execute(select(store_indexes).order_by(store_indexes.c.generation.desc()).limit(1)).first()
    if last is not None and own == {name: getattr(last, name) for name in own}:
        return int(last.generation)
    made = conn.execute(insert(store_indexes).values(**own, created_at=now, leased_until=0))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])
