"""Reading stored events, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from waystation.storage.database import Database
from waystation.streams import queries
from waystation.streams.events import Event

__all__ = ["stored_events"]

PAGE = 500
"""Stored events read at a time."""


async def stored_events(
    db: Database, thread_id: str, run_id: str | None, after: int
) -> AsyncGenerator[list[Event], None]:
    """The stored events of a run (or, with None, of all runs of the thread) with a position greater than `after`, in order."""
    page: list[Event] = []
    while not page or len(page) == PAGE:
        if page:
            after = page[-1].position
        if run_id is None:
            page = await db.read(queries.read_thread, thread_id, after, PAGE)
        else:
            page = await db.read(queries.read_run, thread_id, run_id, after, PAGE)
        if not page:
            return
        yield page
