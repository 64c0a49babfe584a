"""`Database` on one SQLite file: one connection that writes, mostly on a thread of its own that commits in groups, and a pool of
readers.

A group is one transaction with a savepoint for each caller: a caller whose function raises loses only its own work.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from waystation.encoding import decode, encode
from waystation.errors import ConfigError
from waystation.storage import containment
from waystation.storage.group_commit import CAREFUL_GROUPS, LOOK_EVERY, Call, GroupCommit
from waystation.storage.threaded import ThreadedDatabase

__all__ = ["SqliteDatabase"]

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("waystation.storage")

READERS = 4
"""Connections, each with a thread, that serve reads beside the writer."""

WRITER_CACHE_KIB, READER_CACHE_KIB = 16_000, 4_000
"""Pages that a connection keeps. Every thread that reads has a connection; what they do not keep the system does, once for all."""

BUSY_TIMEOUT_S = 10
"""How long a transaction waits for another process that holds the file's write lock."""

BUSY_PAUSE_S = 0.005
"""How often it tries."""

FOLD_BYTES = 16 * 1024 * 1024
"""Size of the write-ahead log from which it is folded back into the file, beside the writer and without stopping it."""

FOLD_PAUSE_S = 1
"""Pause between two folds."""

FOLD_REST_FRAMES = 500
"""Pages that the writer folds itself, between two groups, so that the log starts over: some milliseconds."""

IDLE_S = 3
"""Without a commit for this long the log is folded and emptied."""


class SqliteDatabase(ThreadedDatabase):
    """`waystation.storage.database.Database` on the file at `path`."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """With `sync` every commit waits until the disk has it. Otherwise what is committed survives the process, but the last
        moments before a power failure may be lost; the file stays whole."""
        super().__init__(READERS)
        self.path = path
        self._engine = _engine(path, "FULL" if sync else "NORMAL")
        self._local = threading.local()
        self._reader_connections: list[Connection] = []
        try:
            self._writer_connection = self._engine.connect()
            self._writer_connection.exec_driver_sql("PRAGMA busy_timeout=0")  # `_begin` waits
            self._writer_connection.exec_driver_sql(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
        except Exception as error:
            raise ConfigError(f"cannot open the database file {path}: {error}") from error
        self._log_file = path.with_name(path.name + "-wal")
        self._fold_wanted = threading.Event()
        self._fold_rest = False
        self._careful = 0
        self._looked_at_group = 0
        self._closing = threading.Event()
        # What waits for the disk does not do so on a caller's thread, which may be an event loop's.
        self._writer = GroupCommit(self._commit, self._watch_log, None if sync else self._commit_now)
        self._folder = threading.Thread(target=self._fold_loop, name="waystation-folder", daemon=True)
        self._folder.start()

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite"

    async def lookup(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._read(lambda conn: fn(conn, *args, **kwargs))

    async def _disconnect(self) -> None:
        self._closing.set()
        self._fold_wanted.set()
        await asyncio.to_thread(self._folder.join)
        for connection in self._reader_connections:
            connection.close()
        self._writer_connection.close()
        self._engine.dispose()

    def _read(self, run: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._engine.connect()
            self._reader_connections.append(connection)
        raw: Any = connection.connection.dbapi_connection
        raw.execute("BEGIN")
        try:
            return run(connection)
        finally:
            raw.execute("ROLLBACK")

    def _commit(self, group: list[Call], *, begun: bool = False) -> None:
        """Run a group in one transaction. Begin and commit go straight to the driver: SQLAlchemy would add 100 µs."""
        apart = len(group) > 1 and self._careful > 0
        self._careful = max(0, self._careful - 1)
        try:
            if not begun:
                self._begin(BUSY_TIMEOUT_S)
            if not self._attempt(group, apart=apart):
                self._begin(BUSY_TIMEOUT_S)
                self._attempt(group, apart=True)
        except Exception as error:
            log.exception("could not commit", callers=len(group))
            self._writer_connection.rollback()
            raw: Any = self._writer_connection.connection.dbapi_connection
            if raw.in_transaction:  # SQLAlchemy has not seen it begin; left open, no later group could
                raw.execute("ROLLBACK")
            for call in group:
                call.error = call.error or error

    def _commit_now(self, call: Call) -> bool:
        """Run one caller in a transaction, unless another process or the folder has to be waited for."""
        try:
            self._begin(0)
        except sqlite3.OperationalError:
            return False
        self._commit([call], begun=True)
        return True

    def _begin(self, patience_s: float) -> None:
        """Begin a transaction that writes. The waiting is done here: SQLite would do it also where nobody may wait."""
        raw: Any = self._writer_connection.connection.dbapi_connection
        until = time.monotonic() + patience_s
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return

    def _attempt(self, group: list[Call], *, apart: bool) -> bool:
        """Whether the transaction, which has begun, is over. It is taken back if one of several callers has failed who were not run
        `apart`, each with a savepoint of its own."""
        raw: Any = self._writer_connection.connection.dbapi_connection
        for call in group:
            call.error = None
            (_run_apart if apart else _run)(call, self._writer_connection)
            if call.error is not None and len(group) > 1:
                self._careful = CAREFUL_GROUPS
                if not apart:
                    raw.execute("ROLLBACK")
                    return False
        raw.execute("COMMIT" if any(call.error is None for call in group) else "ROLLBACK")
        return True

    def _watch_log(self) -> None:
        """Have the write-ahead log folded back once it is long. On the writer's thread, after the callers were answered."""
        if self._fold_rest:
            self._fold_rest = False
            _fold(self._writer_connection, "PASSIVE")
        elif self._writer.groups - self._looked_at_group >= LOOK_EVERY and not self._fold_wanted.is_set():
            self._looked_at_group = self._writer.groups
            if self._log_size() > FOLD_BYTES:
                self._fold_wanted.set()

    def _log_size(self) -> int:
        try:
            return self._log_file.stat().st_size
        except OSError:
            return 0

    def _fold_loop(self) -> None:
        """Fold what is there beside the writer. Only when it comes close does the writer help: the log starts over once all
        of it is folded, which under load happens at no other time."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            groups = self._writer.groups
            while not self._closing.is_set():
                if self._fold_wanted.wait(IDLE_S):
                    left = _fold(connection, "PASSIVE")
                    self._fold_rest = left < FOLD_REST_FRAMES
                    self._closing.wait(FOLD_PAUSE_S)
                    self._fold_wanted.clear()
                elif groups == self._writer.groups and self._log_size():
                    _fold(connection, "TRUNCATE")
                groups = self._writer.groups


def _fold(connection: Connection, mode: Literal["PASSIVE", "TRUNCATE"]) -> int:
    """Copy the write-ahead log into the file; returns how many of its pages are left, because somebody reads or writes."""
    raw: Any = connection.connection.dbapi_connection
    try:
        _busy, pages, folded = raw.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    except sqlite3.Error as error:  # the log only stays long; the writer must go on
        log.warning("could not fold the write-ahead log", error=str(error))
        return FOLD_REST_FRAMES
    return int(pages - folded)


def _run(call: Call, connection: Connection) -> None:
    """Run a caller whose failure undoes the transaction."""
    try:
        call.result = call.run(connection)
    except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
        call.error = error


def _run_apart(call: Call, connection: Connection) -> None:
    """Run one caller of several: its failure undoes its own work only."""
    raw: Any = connection.connection.dbapi_connection
    raw.execute("SAVEPOINT caller")
    _run(call, connection)
    if call.error is not None:
        raw.execute("ROLLBACK TO caller")
    raw.execute("RELEASE caller")


def _engine(path: Path, synchronous: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": BUSY_TIMEOUT_S},
        json_serializer=lambda value: encode(value).decode(),
        json_deserializer=decode,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            f"cache_size=-{READER_CACHE_KIB}",
            "wal_autocheckpoint=0",
            f"journal_size_limit={FOLD_BYTES // 4}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        containment.register(connection)

    return engine
