"""Deleting and pruning threads, together with what is still running on them (spec 3.2, 21)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.errors import NotFound
from waystation.storage import checkpoints
from waystation.threads import queries, search
from waystation.threads.removal import PART, prune_some, remove_some
from waystation.threads.ttl import Strategy

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["delete_thread", "delete_threads_of_assistant", "prune"]

AT_ONCE = 200
"""Threads named in one statement."""


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
        return await _delete(server, access, wanted)
    return await _keep_latest(server, access, wanted)


async def delete_threads_of_assistant(server: Server, access: Access, assistant_id: str) -> None:
    """Delete the threads whose latest run was one of this assistant, as far as the caller may."""
    filters = search.Filters(metadata={"assistant_id": assistant_id})
    page = search.Page(AT_ONCE)
    while thread_ids := await server.db.read(search.find_ids, filters, search.Order(), page, access):
        await _delete(server, access, thread_ids)


async def _delete(server: Server, access: Access, thread_ids: Sequence[str]) -> int:
    """Delete the threads in as many transactions as it takes to keep nobody waiting; returns how many there were."""
    deleted = 0
    left = thread_ids
    while left:
        removed = await server.db.write(remove_some, left, access)
        deleted += len(removed.threads)
        if removed.running:
            await server.engine.stop_deleted(removed.running)
        for key in removed.set_aside:
            while await server.db.write(checkpoints.delete_set_aside, key, PART):
                pass
        left = removed.left
    return deleted


async def _keep_latest(server: Server, access: Access, thread_ids: Sequence[str]) -> int:
    pruned, left, place = 0, thread_ids, checkpoints.BEGINNING
    while left:
        step = await server.db.write(prune_some, left, access, place)
        pruned, left, place = pruned + step.threads, step.left, step.place
    return pruned


def _require_none_hidden(conn: Connection, thread_ids: Sequence[str], access: Access) -> None:
    visible = queries.visible(conn, thread_ids, access)
    if len(visible) < len(thread_ids):
        hidden = set(queries.existing(conn, thread_ids)) - set(visible)
        if hidden:
            raise NotFound(f"There is no thread {min(hidden)}.")


def _parts(thread_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(thread_ids), AT_ONCE):
        yield thread_ids[start : start + AT_ONCE]
