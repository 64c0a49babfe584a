"""Graphs of the server's own, which stand beside those of the project.

A client cannot name one, as it can name a graph of the project: its assistants come from the feature that the graph belongs to. That
feature also has a say in every run of theirs, in the transaction that stores it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from msgspec import Struct, field
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.graphs.access import AccessContext, AnyGraph

__all__ = ["Admission", "Arrival", "OwnGraph", "ThreadRow"]


class ThreadRow(Protocol):
    """What a thread's row says of it."""

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def owner_id(self) -> str | None: ...

    @property
    def agent_id(self) -> str | None: ...


class Arrival(Struct, frozen=True):
    """A run that is about to be stored."""

    access: Access
    """Of whoever creates it."""
    identity: str | None
    """The name of that user, if a project's ``authenticate`` handler has recognised one."""
    assistant_id: str
    thread_id: str
    thread: ThreadRow | None
    """None for a thread that comes with the run."""
    interrupts: Sequence[Mapping[str, Any]]
    """What the thread waits for, as the last run has left it: ``{"id", "value", "response_schema"}``."""
    busy: bool
    """Whether the thread has a run that is not settled."""
    command: Mapping[str, Any] | None
    configurable: Mapping[str, Any]
    """What the client has chosen, without the keys that belong to the server."""


class Admission(Struct, frozen=True):
    """What becomes of it."""

    command: Mapping[str, Any] | None
    """Takes the place of the client's."""
    configurable: Mapping[str, Any]
    """Added to the run's, above what the client has chosen."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the thread to set."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Members of the thread's metadata to set, above all others."""


class OwnGraph(Protocol):
    """A graph of the server's own."""

    @property
    def made_at(self) -> str:
        """Where its assistants are made and changed: a path with ``{assistant_id}``."""
        ...

    def admit(self, conn: Connection, arrival: Arrival) -> Admission:
        """Let a run be stored. The thread is locked. Raises a WaystationError to refuse it."""
        ...

    def open(
        self,
        *,
        config: RunnableConfig,
        access_context: AccessContext,
        saver: BaseCheckpointSaver[Any] | None,
    ) -> AbstractAsyncContextManager[AnyGraph]:
        """The graph for one use, as `Graphs.open`. ``configurable`` of `config` has ``assistant_id``, or ``thread_id``, or both."""
        ...
