"""`Database` on PostgreSQL: one writing connection that commits in groups, and reading connections on threads.

Round trips and commits are what PostgreSQL costs, so a group is sent in pipeline mode (`waystation.storage.wire`): `Sql` and `Prepared`
statements wait for the server only when their result is asked for, and one commit is for all. When a caller fails, or the database refuses a statement
of a group, the group is taken back and its callers run again one by one, each in a transaction of its own: only
then is it certain whose error it is. The same happens after waiting for a row that another process has locked, so that two
groups never wait for each other for long.

A connection that is lost is made anew and the work done again. If it was lost while committing, the transaction's status tells
whether that happened; unless the server has crashed, which may lose the transaction and give its number to another: then its callers
are told that nobody knows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from random import random
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from waystation.encoding import decode, encode
from waystation.errors import ConfigError, Unavailable, UnprocessableInput
from waystation.storage.group_commit import CAREFUL_GROUPS, Call, GroupCommit
from waystation.storage.threaded import ThreadedDatabase
from waystation.storage.wire import WIRE, Answer, Wire, wire_of

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresDatabase"]

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("waystation.storage")

READERS = 8
"""Connections, each with a thread, that serve reads beside the writer."""

IDLE_TIMEOUT_MS = 5_000
"""How long a transaction may wait for its process, which may be stopped: others wait for the locks of its runs."""

LOCK_TIMEOUT_MS = 100
"""How long a statement waits for a row that another process has locked, before its group is taken apart."""

ALONE_LOCK_TIMEOUT_MS = 2_000
"""The same for a caller on its own: longer than the second after which PostgreSQL looks for deadlocks."""

PATIENCE_S = 10
"""How long a caller is tried again: while a row stays locked, or the server is away."""

PAUSE_S = 0.05
"""Between two tries; doubled each time up to a second."""

CONNECT_TIMEOUT_S = 5

OWN_ID = b"SELECT pg_current_xact_id()::text"
"""The transaction's id, by which its fate can be asked for on another connection."""

FATE = (
    """SELECT CASE WHEN %(id)s::xid8 < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status(%(id)s::xid8) END"""
)
"""What became of a transaction; nothing if a crash has lost it so thoroughly that its id is still to come."""

SNAPSHOT = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

ALONE = b"SET LOCAL lock_timeout = %d" % ALONE_LOCK_TIMEOUT_MS

LIFE = "SELECT stats_reset::text FROM pg_stat_bgwriter"
"""What only a crash of the server changes: statistics begin anew then. Afterwards the id of a transaction that was lost in the
crash may be that of another one."""

_LIFE = "life"
"""Where a connection's ``info`` has it."""

_AGAIN = ("40001", "40P01", "55P03")
"""Serialization failure, deadlock, lock not available: nothing is wrong but the moment."""

_UNSTORABLE = (None, "22003", "22021", "22P05")
"""Of a `DataError`: psycopg's own refusal of NUL characters, and the server's of numbers and characters beyond a column's type."""

_UNIQUE = "23505"
"""Two transactions inserted the same key. Tried again, a function sees the other's row and does what is right then."""


class PostgresDatabase(ThreadedDatabase):
    """`waystation.storage.database.Database` on the database at `uri`. Raises ConfigError when it cannot be reached."""

    def __init__(self, uri: str, *, readers: int = READERS) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError("DATABASE_URI needs the PostgreSQL driver: pip install 'waystation[postgres]'") from error
        super().__init__(readers)
        self._psycopg = psycopg
        self._engine = _engine(uri)
        self._reader_count = readers
        self._local = threading.local()
        self._reader_connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._reading = 0
        self._writing: Connection | None = None
        self._careful = 0
        """Groups that get savepoints: some caller has failed lately."""
        try:
            self._writing_connection()
        except (SQLAlchemyError, psycopg.Error) as error:
            raise ConfigError(f"cannot connect to PostgreSQL ({_described(uri)}): {_reason(error)}") from error
        self._writer = GroupCommit(self._commit)

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return "postgresql"

    async def lookup(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.read(fn, *args, **kwargs)

    def statistics(self) -> dict[str, Any]:
        return {**super().statistics(), "readers": self._reader_count, "reading": self._reading}

    async def _disconnect(self) -> None:
        for connection in [*self._reader_connections, self._writing]:
            if connection is not None:
                _discard(connection)
        self._engine.dispose()

    # --- connections

    def _connect(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.info[WIRE] = Wire(_raw(connection))
        return connection

    def _writing_connection(self) -> Connection:
        if self._writing is None:
            self._writing = self._connect()
            row = _raw(self._writing).execute(LIFE).fetchone()
            self._writing.info[_LIFE] = row and row[0]
        return self._writing

    def _patiently(self, action: Callable[[], T]) -> T:
        """`action()`, tried again while the server is away. Raises Unavailable when it stays so."""
        until, pause = time.monotonic() + PATIENCE_S, PAUSE_S
        while True:
            try:
                return action()
            except (DBAPIError, self._psycopg.Error) as error:
                if not self._is_lost(error):
                    raise
                if time.monotonic() > until:
                    raise _Away(f"the database does not answer: {_reason(error)}") from error
                time.sleep(pause)
                pause = min(1.0, pause * 2)

    def _is_lost(self, error: BaseException) -> bool:
        """Whether the connection is gone, or could not be made."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, self._psycopg.errors.IdleInTransactionSessionTimeout) or self._is_outdated(cause):
            return True
        return isinstance(cause, (self._psycopg.OperationalError, self._psycopg.InterfaceError)) and (
            getattr(cause, "sqlstate", None) is None or str(cause.sqlstate).startswith(("08", "57P"))
        )

    def _is_outdated(self, cause: BaseException | None) -> bool:
        """Whether the connection's prepared statements are gone, or made for tables that have changed since."""
        errors = self._psycopg.errors
        return isinstance(cause, errors.InvalidSqlStatementName) or (
            isinstance(cause, errors.FeatureNotSupported) and cause.diag.source_function == "RevalidateCachedQuery"
        )

    def _sqlstate(self, error: BaseException) -> str | None:
        cause = error.orig if isinstance(error, DBAPIError) else error
        return getattr(cause, "sqlstate", None)

    def _told(self, error: Exception) -> Exception:
        """`error` as its caller gets it: a value that no column can hold is the fault of whoever sent it."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, self._psycopg.DataError) and cause.sqlstate in _UNSTORABLE:
            return UnprocessableInput(f"A value cannot be stored: {_reason(error)}.")
        return error

    # --- reading

    def _read(self, run: Callable[[Connection], T]) -> T:
        try:
            return self._patiently(lambda: self._read_once(run))
        except (DBAPIError, self._psycopg.Error) as error:
            raise self._told(error) from error

    def _read_once(self, run: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            # Which plan is good for a search depends on what is searched for; hot statements have one that is always good.
            _raw(connection).prepare_threshold = None
            with self._lock:
                self._reader_connections.add(connection)
        self._reading += 1
        try:
            wire = wire_of(connection)
            wire.send(SNAPSHOT)
            result = run(connection)
            wire.end(b"ROLLBACK")
            return result
        except BaseException as error:
            if self._is_lost(error) or not wire_of(connection).roll_back():
                self._local.connection = None
                with self._lock:
                    self._reader_connections.discard(connection)
                _discard(connection)
            raise
        finally:
            self._reading -= 1

    # --- writing

    def _commit(self, group: list[Call]) -> None:
        """Carry out a group: all at once, or, where that fails, one after the other."""
        try:
            if not self._together(group):
                away: BaseException | None = None
                for call in group:
                    call.result, call.error = None, away  # one caller's patience is enough for all
                    if away is None:
                        self._alone(call)
                        away = call.error if isinstance(call.error, _Away) else None
        except Exception as error:
            log.exception("could not commit", callers=len(group))
            for call in group:
                call.error = call.error or error

    def _together(self, group: list[Call]) -> bool:
        """Whether all of the group is done, in one transaction. If not, nothing of it is."""
        status = _Progress()
        try:
            self._attempt(self._writing_connection(), group, status)
        except (DBAPIError, self._psycopg.Error) as error:
            if not self._is_lost(error):
                self._roll_back()
                return False
            self._drop_writing()
            try:
                return status.committing and self._patiently(lambda: self._was_committed(status))
            except Unavailable as unknown:
                for call in group:
                    if call.repeatable:
                        self._alone(call)
                    else:
                        call.error = call.error or unknown
        except _TakeBack:
            self._roll_back()
            return False
        except BaseException:
            self._drop_writing()
            raise
        return True

    def _attempt(self, connection: Connection, group: list[Call], status: _Progress) -> None:
        status.life = connection.info[_LIFE]
        apart = len(group) > 1 and self._careful > 0
        self._careful = max(0, self._careful - 1)
        wire = wire_of(connection)
        wire.send(b"BEGIN")
        own_id = wire.send(OWN_ID)
        for call in group:
            if apart:
                wire.send(b"SAVEPOINT caller")
            if not self._run(call, connection):
                self._careful = CAREFUL_GROUPS
                if apart:
                    wire.send(b"ROLLBACK TO caller")
                elif len(group) > 1:
                    raise _TakeBack
            if apart:
                wire.send(b"RELEASE caller")
        self._finish(wire, own_id, status, keep=any(call.error is None for call in group))

    def _finish(self, wire: Wire, own_id: Answer, status: _Progress, *, keep: bool) -> None:
        """Commit what has been sent, or take it back. Nothing is committed before the transaction's id is known."""
        ((status.transaction,),) = own_id.rows()
        status.committing = True
        committed = wire.send(b"COMMIT" if keep else b"ROLLBACK")
        wire.settle()
        if keep and committed.tag != b"COMMIT":
            raise self._psycopg.errors.InFailedSqlTransaction("a function went on after a statement had failed")

    def _run(self, call: Call, connection: Connection) -> bool:
        """Whether the function did what it wanted. An error of its own is kept for its caller, one of the database raised: in a
        pipeline it may be anybody's."""
        try:
            call.result = call.run(connection)
        except (DBAPIError, self._psycopg.Error):
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
            call.error = error
            return False
        return True

    def _alone(self, call: Call) -> None:
        """Carry out one caller in a transaction of its own, again and again if the moment is bad."""
        until, pause = time.monotonic() + PATIENCE_S, PAUSE_S
        while True:
            call.result = call.error = None
            status = _Progress()
            try:
                self._attempt_alone(self._patiently(self._writing_connection), call, status)
            except (DBAPIError, self._psycopg.Error) as error:
                lost = self._is_lost(error)
                if lost:
                    self._drop_writing()
                    try:
                        if status.committing and self._patiently(lambda status=status: self._was_committed(status)):  # type: ignore[misc]
                            return
                    except Unavailable as unknown:
                        if not call.repeatable:
                            call.error = unknown
                            return
                else:
                    self._roll_back()
                again = lost or self._sqlstate(error) in (*_AGAIN, _UNIQUE)
                if again and time.monotonic() < until and not (self._sqlstate(error) == _UNIQUE and pause > PAUSE_S):
                    time.sleep(pause * random())  # not in step with whoever else tries again
                    pause = min(1.0, pause * 2)
                    continue
                if lost:
                    call.error = _Away(f"the database does not answer: {_reason(error)}")
                elif self._sqlstate(error) in _AGAIN:
                    call.error = Unavailable(f"the database is too busy: {_reason(error)}")
                else:
                    call.error = self._told(error)
            except Exception as error:  # noqa: BLE001 - handed to the caller it belongs to
                self._roll_back()
                call.error = error
            return

    def _attempt_alone(self, connection: Connection, call: Call, status: _Progress) -> None:
        status.life = connection.info[_LIFE]
        wire = wire_of(connection)
        wire.send(b"BEGIN")
        wire.send(ALONE)
        own_id = wire.send(OWN_ID)
        call.result = call.run(connection)
        self._finish(wire, own_id, status, keep=True)

    def _was_committed(self, status: _Progress) -> bool:
        """What became of the transaction whose connection was lost at its commit. Raises Unavailable when that cannot be told:
        the server has crashed, and the id may be another transaction's by now."""
        connection = self._writing_connection()
        while True:
            row = _raw(connection).execute(FATE, {"id": status.transaction}).fetchone()
            fate = row and row[0]
            if fate == "committed" and connection.info[_LIFE] != status.life:
                raise Unavailable("the database has crashed, and whether it had committed this is not known")
            if fate != "in progress" or connection.info[_LIFE] != status.life:
                return fate == "committed"
            time.sleep(PAUSE_S)

    def _roll_back(self) -> None:
        if self._writing is not None and not wire_of(self._writing).roll_back():
            self._drop_writing()

    def _drop_writing(self) -> None:
        if self._writing is not None:
            _discard(self._writing)
            self._writing = None


class _Away(Unavailable):
    """The server did not answer, however often it was tried."""


class _TakeBack(Exception):
    """A caller of a group without savepoints has failed."""


class _Progress:
    """How far a transaction got."""

    __slots__ = ("committing", "life", "transaction")

    def __init__(self) -> None:
        self.committing = False
        self.transaction: str | None = None
        self.life: Any = None
        """The server's, in which the transaction began."""


def _raw(connection: Connection) -> psycopg.Connection[Any]:
    raw: Any = connection.connection.dbapi_connection
    return raw  # type: ignore[no-any-return]


def _discard(connection: Connection) -> None:
    """Close a connection without talking to the server about it."""
    with suppress(Exception):
        _raw(connection).close()
    with suppress(Exception):
        connection.invalidate()
    with suppress(Exception):
        connection.close()


def _engine(uri: str) -> Engine:
    url = make_url(uri)
    if url.drivername.split("+")[0] not in ("postgres", "postgresql"):
        raise ConfigError(f"DATABASE_URI must begin with postgresql://, not {url.drivername}://")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "waystation",
            "options": f"-c lock_timeout={LOCK_TIMEOUT_MS} -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}",
            "keepalives_idle": 30,
        },
        json_serializer=lambda value: encode(value).decode(),
        json_deserializer=decode,
        use_native_hstore=False,
    )

    def leave_wire(_cursor: Any, _statement: str, _parameters: Any, context: Any) -> None:
        """SQLAlchemy's statements go through psycopg's cursors."""
        try:
            wire: Wire | None = context.root_connection.info.get(WIRE)
        except NotImplementedError:  # SQLAlchemy looks at a new server with a connection that has no info
            return
        if wire is not None:
            wire.leave()

    event.listen(engine, "do_execute", leave_wire)
    event.listen(engine, "do_executemany", leave_wire)
    return engine


def _described(uri: str) -> str:
    return make_url(uri).render_as_string(hide_password=True)


def _reason(error: BaseException) -> str:
    """The database's own words, without SQLAlchemy's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).strip() or type(cause).__name__
