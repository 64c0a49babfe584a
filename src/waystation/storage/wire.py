"""A PostgreSQL connection as libpq sees it: prepared statements in pipeline mode, without psycopg's cursors.

A cursor takes 66 µs of Python to run a statement, this some 8. A statement is prepared when the connection first meets it, and
sent together with what follows it when somebody waits for an answer. Parameters go as text, whose types the server infers
(bytes go as they are), and results come back through psycopg's own loaders, so that they are what a cursor would give.

While statements are on their way the connection belongs to its `Wire`. A cursor may be used after `Wire.leave`.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

__all__ = ["WIRE", "Answer", "Wire", "wire_of"]

WIRE = "wire"
"""Where a PostgreSQL connection's ``info`` has its `Wire`."""

PREPARED = 1_000
"""Statements that a connection keeps prepared at most. Those it meets later are parsed every time."""

_TEXT, _BINARY = 0, 1


def wire_of(conn: Connection) -> Wire:
    """The wire of a connection to PostgreSQL."""
    wire: Wire = conn.info[WIRE]
    return wire


class Answer:
    """What the server will say to one statement. Asking for it waits; it raises the first error of the pipeline."""

    __slots__ = ("_wire", "done", "prepares", "result")

    def __init__(self, wire: Wire, prepares: bytes | None = None) -> None:
        self._wire = wire
        self.prepares = prepares
        """The statement that this is only the preparation of."""
        self.result: PGresult | None = None
        self.done = False

    def rows(self, make_row: Callable[[Sequence[Any]], Any] = tuple) -> list[Any]:
        """All rows."""
        return self._wire.load(self._settled(), make_row)

    def count(self) -> int:
        """How many rows the statement touched."""
        return self._settled().command_tuples or 0

    @property
    def tag(self) -> bytes | None:
        """The server's word for what it has done."""
        return self._settled().command_status

    def _settled(self) -> PGresult:
        self._wire.wait_for(self)
        assert self.result is not None
        return self.result


class Wire:
    """Used by the one thread that uses the connection."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        from psycopg import errors, pq
        from psycopg.adapt import Transformer

        self._errors = errors
        self._status = pq.ExecStatus
        self._pgconn = raw.pgconn
        self._loaders = Transformer(raw)
        self._encoding = raw.info.encoding
        self._encodes = "utf-8" if self._encoding == "ascii" else self._encoding
        """As psycopg does it for a database that does not care about encodings."""
        self._socket = select.poll()
        self._socket.register(raw.pgconn.socket, select.POLLIN)
        self._names: dict[bytes, bytes] = {}
        self._prepared = 0
        self._pending: deque[Answer | None] = deque()
        """Statements without an answer, oldest first; None for a synchronization point."""
        self._error: BaseException | None = None
        """The first one. What follows it up to the next synchronization point is not executed."""
        self._open = False

    def send(self, statement: bytes, values: Sequence[Any] = ()) -> Answer:
        """Queue a statement with ``$1`` and so on for its parameters. It goes out when somebody waits for an answer."""
        if self._error is not None:
            raise self._error
        pgconn, (parameters, formats) = self._pgconn, self._dumped(values)
        if not self._open:
            pgconn.enter_pipeline_mode()
            self._open = True
        name = self._names.get(statement)
        if name is None and len(self._names) < PREPARED:
            name = self._prepare(statement)
        if name is None:
            pgconn.send_query_params(statement, parameters, None, formats, _BINARY)
        else:
            pgconn.send_query_prepared(name, parameters, formats, _BINARY)
        answer = Answer(self)
        self._pending.append(answer)
        return answer

    def wait_for(self, answer: Answer) -> None:
        """Until the server has answered. Raises the first error of the pipeline."""
        if not answer.done:
            self._pgconn.send_flush_request()
            self._send()
            while not answer.done:
                self._receive()
        if self._error is not None:
            raise self._error

    def settle(self) -> None:
        """Wait until everything sent has been answered. Raises the first error; afterwards the wire can be used again."""
        # After an error the server ignores everything up to a synchronization point, though nothing may be pending.
        if self._pending or self._error is not None:
            self._synchronize()
            while self._pending:
                self._receive()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def end(self, statement: bytes) -> None:
        """Send a statement that cannot fail and does not have to be waited for."""
        if any(answer is not None for answer in self._pending):
            self.send(statement)
            self.settle()
        else:
            self.send(statement)
            self._synchronize()

    def leave(self) -> None:
        """`settle`, and let a cursor use the connection."""
        if self._open:
            self.settle()
            self._pgconn.exit_pipeline_mode()
            self._open = False

    def roll_back(self) -> bool:
        """Forget what is on its way and end the transaction; whether the connection can still be used."""
        with suppress(Exception):  # it has been raised already, or nobody wants to know
            self.settle()
        try:
            self.send(b"ROLLBACK")
            self.settle()
        except Exception:  # noqa: BLE001 - whatever it is, the connection is of no use any more
            return False
        return True

    def load(self, result: PGresult, make_row: Callable[[Sequence[Any]], Any]) -> list[Any]:
        """The rows of a result."""
        self._loaders.set_pgresult(result)
        return self._loaders.load_rows(0, result.ntuples, make_row)

    def _prepare(self, statement: bytes) -> bytes:
        self._prepared += 1
        name = self._names[statement] = b"ws_%d" % self._prepared
        self._pgconn.send_prepare(name, statement)
        self._pending.append(Answer(self, prepares=statement))
        return name

    def _dumped(self, values: Sequence[Any]) -> tuple[list[bytes | None], list[int] | None]:
        """Parameters and their formats (None when all are text)."""
        parameters: list[bytes | None] = []
        formats: list[int] | None = None
        for value in values:
            kind = type(value)
            if kind is str:
                text = value.encode(self._encodes)
                if b"\0" in text:
                    raise self._errors.DataError("text cannot contain NUL characters")
                parameters.append(text)
            elif kind is int or kind is float:
                parameters.append(b"%a" % value)
            elif value is None:
                parameters.append(None)
            elif kind is bool:
                parameters.append(b"t" if value else b"f")
            elif isinstance(value, (bytes, bytearray, memoryview)):
                formats = formats or [_TEXT] * len(values)
                formats[len(parameters)] = _BINARY
                parameters.append(bytes(value))
            elif isinstance(value, str):
                parameters.append(self._dumped([str.__str__(value)])[0][0])
            else:
                raise self._errors.ProgrammingError(f"no parameter of this statement can be a {kind.__name__}")
        return parameters, formats

    def _synchronize(self) -> None:
        self._pgconn.pipeline_sync()
        self._pending.append(None)
        self._send()

    def _send(self) -> None:
        """Hand everything to the socket. The server may have to get rid of answers before it takes more."""
        while self._pgconn.flush():
            writable = select.poll()
            writable.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
            if any(ready & select.POLLIN for _, ready in writable.poll()):
                self._pgconn.consume_input()

    def _receive(self) -> None:
        """Take the next thing that the server says."""
        pgconn = self._pgconn
        try:
            while pgconn.is_busy():
                self._socket.poll()
                pgconn.consume_input()
        except self._errors.Error as error:
            raise self._error or error from None
        result, head = pgconn.get_result(), self._pending[0]
        if result is None:
            self._pending.popleft()
            if head is None or (head.result is None and self._error is None):
                self._error = self._error or self._errors.OperationalError("the connection to the server was lost")
            if head is not None:
                head.done = True
                if head.prepares is not None and head.result is None:
                    self._names.pop(head.prepares, None)
            return
        status = result.status
        if status == self._status.PIPELINE_SYNC:
            self._pending.popleft()
        elif status in (self._status.TUPLES_OK, self._status.COMMAND_OK):
            assert head is not None
            head.result = result
        elif status != self._status.PIPELINE_ABORTED and self._error is None:
            self._error = self._errors.error_from_result(result, self._encoding)
