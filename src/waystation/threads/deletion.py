"""Deleting and pruning threads, together with what is still running on them (spec 3.2, 21)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.errors import NotFound
from waystation.runs import lifecycle
from waystation.storage import checkpoints
from waystation.threads import queries, search
from waystation.threads.ttl import Strategy

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["delete_thread", "delete_threads_of_assistant", "prune"]

AT_ONCE = 200
"""Threads deleted in one transaction: others wait for the writer meanwhile."""


async def delete_thread(server: Server, access: Access, thread_id: str) -> None:
    """Delete a thread, busy or not. Raises NotFound."""
    if not await _delete(server, access, [thread_id]):
        raise NotFound(f"There is no thread {thread_id}.")


async def prune(server: Server, access: Access, thread_ids: Sequence[str], strategy: Strategy) -> int:
    """Delete these threads, or of each all checkpoints but the newest; returns how many there were.

    Unknown ids are skipped. Raises NotFound, before anything is pruned, if one belongs to somebody else.
    """
    wanted = list(dict.fromkeys(thread_ids))
    for part in _parts(wanted):
        await server.db.read(_require_none_hidden, part, access)
    if strategy == "delete":
        return sum([await _delete(server, access, part) for part in _parts(wanted)])
    return sum([await server.db.write(_keep_latest, part, access) for part in _parts(wanted)])


async def delete_threads_of_assistant(server: Server, access: Access, assistant_id: str) -> None:
    """Delete the threads whose latest run was one of this assistant, as far as the caller may."""
    filters = search.Filters(metadata={"assistant_id": assistant_id})
    page = search.Page(AT_ONCE)
    while thread_ids := await server.db.read(search.find_ids, filters, search.Order(), page, access):
        await _delete(server, access, thread_ids)


async def _delete(server: Server, access: Access, thread_ids: Sequence[str]) -> int:
    deleted, running = await server.db.write(_delete_rows, thread_ids, access)
    if running:
        await server.engine.stop_deleted(running)
    return deleted


def _delete_rows(conn: Connection, thread_ids: Sequence[str], access: Access) -> tuple[int, list[str]]:
    """How many threads there were, and the runs that were in flight on them."""
    visible = queries.visible(conn, thread_ids, access)
    if not visible:
        return 0, []
    running = lifecycle.in_flight_runs(conn, visible)
    queries.remove(conn, visible, access)
    return len(visible), running


def _keep_latest(conn: Connection, thread_ids: Sequence[str], access: Access) -> int:
    visible = queries.visible(conn, thread_ids, access)
    if visible:
        checkpoints.prune(conn, visible, "keep_latest")
    return len(visible)


def _require_none_hidden(conn: Connection, thread_ids: Sequence[str], access: Access) -> None:
    visible = queries.visible(conn, thread_ids, access)
    if len(visible) < len(thread_ids):
        hidden = set(queries.existing(conn, thread_ids)) - set(visible)
        if hidden:
            raise NotFound(f"There is no thread {min(hidden)}.")


def _parts(thread_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(thread_ids), AT_ONCE):
        yield thread_ids[start : start + AT_ONCE]
