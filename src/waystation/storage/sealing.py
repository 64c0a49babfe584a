"""Encryption at rest as storage functions see it: what is *sealed* when it is written and *opened* when it is read.

A `Field` is a column, or a kind of bytes, that may hold what users have said. The types of columns seal and open by themselves
(`waystation.storage.sealed_types`); plain SQL calls `seal_last` and `open_blobs`. How that is done a `Seals` knows, which the
database wrapper of a server with encryption (`waystation.storage.sealed_database`) puts in place around every storage function.
Without encryption there is none, and everything is passed on as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

from msgspec import Struct
from sqlalchemy import ColumnElement

from waystation.errors import SealBroken, UnprocessableInput
from waystation.storage.seal_marks import BLOB_MARKS

__all__ = [
    "A2A_PUSHES",
    "AGENT_FILE",
    "AGENT_MANIFEST",
    "AGENT_METADATA",
    "AGENT_SETTINGS",
    "ASSISTANT_CONFIG",
    "ASSISTANT_CONTEXT",
    "ASSISTANT_METADATA",
    "CHECKPOINT",
    "CONTEXT_KEY",
    "CRON_METADATA",
    "CRON_OWNER",
    "CRON_PAYLOAD",
    "EVENT",
    "RUN_KWARGS",
    "RUN_METADATA",
    "RUN_RESULT",
    "STORE_VALUE",
    "THREAD_CONFIG",
    "THREAD_ERROR",
    "THREAD_INTERRUPTS",
    "THREAD_METADATA",
    "THREAD_TITLE",
    "THREAD_VALUES",
    "WEBHOOK_BODY",
    "WEBHOOK_HEADERS",
    "Context",
    "ContextOf",
    "Field",
    "Seals",
    "Unreadable",
    "active",
    "current_context",
    "hidden_keys",
    "in_place",
    "is_readable",
    "open_blobs",
    "require_searchable",
    "seal_last",
    "under",
]

Context = Mapping[str, Any]
"""What a client or the project says about the encryption of a request: ``ctx.metadata`` of custom handlers (spec 23)."""

ContextOf = Callable[[Any, Context], Awaitable[Context]]

CONTEXT_KEY = "encryption_context"
"""Where a run's kwargs and a cron's owner keep theirs, in the clear: whoever goes on with them needs it first."""


class Field(Struct, frozen=True):
    """Something stored that may be sealed."""

    model: str
    name: str
    parts: tuple[str, ...] = ()
    """Members of an object that hold what users have said; the others steer the server and stay in the clear."""
    searched: bool = False
    """Whether SQL looks into it: only chosen members may be sealed."""

    @property
    def label(self) -> str:
        return f"{self.model}.{self.name}"

    def with_parts(self, value: Mapping[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
        """`value` with each of the `parts` that it has replaced by ``change(key, member)``."""
        return {key: change(key, member) if key in self.parts else member for key, member in value.items()}


A2A_PUSHES = Field("a2a", "pushes")
AGENT_FILE = Field("agent", "file")
AGENT_MANIFEST = Field("agent", "files")
AGENT_METADATA = Field("agent", "metadata", searched=True)
AGENT_SETTINGS = Field("agent", "settings")
ASSISTANT_CONFIG = Field("assistant", "config")
ASSISTANT_CONTEXT = Field("assistant", "context")
ASSISTANT_METADATA = Field("assistant", "metadata", searched=True)
CHECKPOINT = Field("checkpoint", "blob")
CRON_METADATA = Field("cron", "metadata", searched=True)
CRON_OWNER = Field("cron", "owner", parts=("configurable",))
CRON_PAYLOAD = Field("cron", "payload", parts=("input", "command", "config", "context", "metadata"))
EVENT = Field("run", "event")
RUN_KWARGS = Field("run", "kwargs", parts=("input", "command", "config", "context", "response"))
RUN_METADATA = Field("run", "metadata")
RUN_RESULT = Field("run", "result")
STORE_VALUE = Field("store", "value", searched=True)
THREAD_CONFIG = Field("thread", "config")
THREAD_ERROR = Field("thread", "error")
THREAD_INTERRUPTS = Field("thread", "interrupts")
THREAD_METADATA = Field("thread", "metadata", searched=True)
THREAD_TITLE = Field("thread", "title")
THREAD_VALUES = Field("thread", "values")
WEBHOOK_BODY = Field("webhook", "body")
WEBHOOK_HEADERS = Field("webhook", "headers")


class Seals(Protocol):
    """How values are encrypted. Usable from every thread."""

    @property
    def waits(self) -> bool:
        """Whether it may take long: then never on the thread of an event loop."""
        ...

    @property
    def context_of(self) -> ContextOf | None:
        """Makes the encryption context of a request from its user and its header; None where there is no context."""
        ...

    def seal_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]: ...

    def open_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]:
        """The inverse; what is not sealed is returned as it is. Raises SealBroken."""
        ...

    def seal_json(self, field: Field, value: Any) -> Any:
        """What to store for a JSON value."""
        ...

    def open_json(self, field: Field, stored: Any) -> Any:
        """The inverse. What cannot be opened becomes `Unreadable`."""
        ...

    def open_text(self, field: Field, stored: str) -> str | Unreadable:
        """`open_json` from text to text."""
        ...

    def hidden(self, field: Field, wanted: Mapping[str, Any]) -> list[str]:
        """Keys of the filter `wanted` that name something sealed, which no filter can find."""
        ...

    def close(self) -> None:
        """Nothing is sealed or opened any more."""
        ...


class Unreadable:
    """Stands for a stored value that cannot be opened. Reading a row with one is no error, using it is: so a row whose key is
    lost can still be found, failed and deleted. Written again it is what was stored before."""

    __slots__ = ("_error", "stored")

    def __init__(self, stored: Any, error: SealBroken) -> None:
        self.stored = stored
        self._error = error

    def _fail(self, *_: Any) -> NoReturn:
        raise SealBroken(self._error.message) from self._error

    __getattr__ = __getitem__ = __iter__ = __len__ = __bool__ = __str__ = __contains__ = _fail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unreadable) and other.stored == self.stored

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<unreadable>"


def is_readable(value: Any) -> bool:
    """Whether nothing in the JSON `value` is `Unreadable`."""
    if isinstance(value, dict):
        return all(map(is_readable, value.values()))
    if isinstance(value, list):
        return all(map(is_readable, value))
    return not isinstance(value, Unreadable)


class _Active(threading.local):
    """Of the storage function that runs on this thread."""

    seals: Seals | None = None


_active = _Active()

_context: ContextVar[Context] = ContextVar("waystation_encryption_context", default={})  # noqa: B039 - never changed
"""Of the request or run that this task or storage function belongs to."""


def active() -> Seals | None:
    """What seals and opens in the storage function that is running; None without encryption."""
    return _active.seals


def current_context() -> Context:
    """The encryption context of the request or run that is being worked for."""
    return _context.get()


@contextmanager
def under(context: Context | None) -> Iterator[None]:
    """Seal with `context`, if it is not None, in the body of the ``with``."""
    if context is None:
        yield
        return
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def in_place(seals: Seals, context: Context) -> Iterator[None]:
    """Let `seals` be active on this thread, with a caller's `context`."""
    before, _active.seals = _active.seals, seals
    try:
        with under(context):
            yield
    finally:
        _active.seals = before


def seal_last(field: Field, *tables: list[tuple[Any, ...]]) -> Sequence[list[tuple[Any, ...]]]:
    """Rows whose last column is bytes, with those sealed. All at once: handlers may take their time for each."""
    seals = _active.seals
    if seals is None:
        return tables
    sealed = iter(seals.seal_blobs(field, [row[-1] for rows in tables for row in rows]))
    return [[(*row[:-1], next(sealed)) for row in rows] for rows in tables]


def open_blobs(field: Field, blobs: Sequence[bytes]) -> Sequence[bytes]:
    """Bytes as they were before they were sealed. Raises SealBroken."""
    seals = _active.seals
    if seals is not None:
        return seals.open_blobs(field, blobs)
    for blob in blobs:
        if blob and (who := BLOB_MARKS.get(blob[0])):
            raise SealBroken(f"Stored data was encrypted {who}, and this server has no encryption configured.")
    return blobs


def hidden_keys(column: ColumnElement[Any], wanted: Mapping[str, Any]) -> list[str]:
    """Keys of the filter `wanted` on `column` that name something sealed."""
    field = getattr(column.type, "field", None)
    if _active.seals is None or not isinstance(field, Field) or not wanted:
        return []
    return _active.seals.hidden(field, wanted)


def require_searchable(column: ColumnElement[Any], wanted: Mapping[str, Any]) -> None:
    """Raise UnprocessableInput for a filter on what is sealed: it would find nothing, whatever there is."""
    if hidden := hidden_keys(column, wanted):
        field: Field = column.type.field  # type: ignore[attr-defined]
        raise UnprocessableInput(
            f"The filter asks for {', '.join(map(repr, hidden[:5]))} in {field.label}, which is stored encrypted: "
            "no filter can look into it."
        )
