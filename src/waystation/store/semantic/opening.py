"""Opening the index that the configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from waystation.errors import ConfigError
from waystation.store.semantic.embedder import Embedder
from waystation.store.semantic.index import Index
from waystation.store.semantic.tables import prepare
from waystation.store.semantic.vectors import Vectors
from waystation.timestamps import now_us

if TYPE_CHECKING:
    from waystation.config import IndexConfig
    from waystation.storage.database import Database

__all__ = ["open_index", "prepare_index"]


def open_index(db: Database, config: IndexConfig, embedder: Embedder) -> Index:
    """The index of the store in `db`, ready to be used. On a plain thread. Raises ConfigError."""
    return Index(config.fields, embedder, prepare_index(db, config))


def prepare_index(db: Database, config: IndexConfig) -> Vectors:
    """Make what the index needs in the database, as far as it is missing. On a plain thread. Raises ConfigError."""
    if db.dialect == "postgresql":
        return db.write_blocking(_prepare_postgres, config)
    try:
        from waystation.store.semantic.sqlite import MatrixVectors

        return MatrixVectors(db.write_blocking(prepare, config, now_us()), config.dims)
    except ImportError as error:
        raise ConfigError("store.index on SQLite needs NumPy: pip install 'waystation[semantic]'") from error


def _prepare_postgres(conn: Connection, config: IndexConfig) -> Vectors:
    from waystation.storage.schema import lock_schema
    from waystation.store.semantic.postgres import PgVectors, create_extension

    lock_schema(conn)
    create_extension(conn)
    vectors = PgVectors(prepare(conn, config, now_us()), config.dims)
    vectors.create_index(conn)
    return vectors
