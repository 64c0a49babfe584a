"""Opening the database that the configuration names."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from waystation.errors import ConfigError
from waystation.storage.data_dir import DATABASE_FILE, is_in_use, lock_data_dir
from waystation.storage.schema import require_current, upgrade
from waystation.storage.sealed_database import SealedDatabase
from waystation.storage.sealing_check import check

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.storage.database import Database
    from waystation.storage.sealing import Seals

__all__ = ["encrypted", "open_beside", "open_database"]


def open_beside(config: Config) -> tuple[Database, IO[str] | None]:
    """`open_database` for a command that changes a few rows, which may be done beside a running server. Only if there is none
    the directory's lock comes along.

    Raises ConfigError when the database cannot be used, or the server beside it is of another version."""
    if config.database_uri is not None:
        return open_database(config)
    if not is_in_use(config.data_dir):
        try:
            return open_database(config, briefly=True)
        except ConfigError:
            if not is_in_use(config.data_dir):
                raise
            # A server has begun in this very moment.
    from waystation.storage.sqlite import SqliteDatabase

    beside = SqliteDatabase(config.data_dir / DATABASE_FILE, sync=config.sqlite_sync)
    beside.read_blocking(require_current)
    return beside, None


def open_database(config: Config, *, briefly: bool = False) -> tuple[Database, IO[str] | None]:
    """The database of `config` with the schema of this version, and the lock of its directory if it is one process's only. Who has
    it `briefly` is waited for by a server that starts meanwhile.

    Raises ConfigError when it cannot be used."""
    if config.database_uri is not None:
        from waystation.storage.postgres import PostgresDatabase

        shared = PostgresDatabase(config.database_uri, readers=config.postgres_pool_size - 1)
        upgrade(shared)
        return shared, None
    from waystation.storage.sqlite import SqliteDatabase

    lock = lock_data_dir(config.data_dir, briefly=briefly)
    try:
        own = SqliteDatabase(config.data_dir / DATABASE_FILE, sync=config.sqlite_sync)
        upgrade(own)
    except BaseException:
        lock.close()
        raise
    return own, lock


def encrypted(db: Database, lock: IO[str] | None, seals: Seals | None) -> Database:
    """`db`, whose contents `seals` encrypt. Raises ConfigError, with its `lock` free, when a server without encryption would go on
    in the clear with what was encrypted."""
    try:
        db.read_blocking(check, seals)
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    return db if seals is None else SealedDatabase(db, seals)
