"""Where a thread is: what its row says of its newest state."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from waystation.auth.access import Access
from waystation.storage.prepared import Prepared
from waystation.storage.tables import threads
from waystation.threads.interrupts import open_interrupts

__all__ = ["Current", "current"]

_CURRENT = Prepared(
    select(threads.c.status, threads.c["values"], threads.c.interrupts, threads.c.error).where(
        threads.c.thread_id == bindparam("thread_id")
    )
)


class Current(Struct, frozen=True):
    """A thread between two runs. While one goes on, it is as the run before has left it."""

    status: str = "idle"
    values: Any = None
    interrupts: tuple[dict[str, Any], ...] = ()
    """Those that wait for an answer: ``{id, value[, response_schema]}``."""
    error: dict[str, Any] | None = None

    @property
    def at_breakpoint(self) -> bool:
        """Whether nodes are left to run although nothing is asked."""
        return self.status == "interrupted" and not self.interrupts


def current(conn: Connection, thread_id: str, access: Access) -> Current | None:
    """The thread; None when there is none that the caller may see."""
    row = _CURRENT.within(access, threads.c.metadata).first(conn, {"thread_id": thread_id})
    if row is None:
        return None
    return Current(row.status, row.values, tuple(open_interrupts(row.interrupts)), row.error)
