"""Deleting and pruning threads, together with what is still running on them (spec 3.2, 21)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
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

__all__ = ["MayDelete", "delete_thread", "delete_threads_of_assistant", "prune"]

MayDelete = Callable[[str], Awaitable[Access | None]]
"""The caller's access to a thread that is to be deleted; None if it may not."""

AT_ONCE = 200
"""Threads named in one statement."""


async def delete_thread(server: Server, access: Access, thread_id: str) -> None:
    """Delete a thread, busy or not. Raises NotFound."""
    if not await _delete(server, access, [thread_id]):
        raise NotFound(f"There is no thread {thread_id}.")


async def prune(server: Server, wanted: Mapping[Access, Sequence[str]], strategy: Strategy) -> int:
    """Delete these threads, or of each all checkpoints but the newest; returns how many there were. They come by the access
    that the caller has to them, and no id twice.

    Unknown ids are skipped. Raises NotFound, before anything is pruned, if one belongs to somebody else.
    """
    for access, thread_ids in wanted.items():
        for part in _parts(thread_ids):
            await server.db.read(_require_none_hidden, part, access)
    work = _delete if strategy == "delete" else _keep_latest
    return sum([await work(server, access, thread_ids) for access, thread_ids in wanted.items()])


async def delete_threads_of_assistant(server: Server, access: Access, assistant_id: str, may_delete: MayDelete) -> None:
    """Delete the threads whose latest run was one of this assistant, as far as the caller may: `access` says what can be in
    question, `may_delete` decides for each."""
    filters = search.Filters(metadata={"assistant_id": assistant_id})
    kept = 0
    while thread_ids := await server.db.read(
        search.find_ids, filters, search.Order(), search.Page(AT_ONCE, kept), access
    ):
        deleted = 0
        for thread_id in thread_ids:
            own = await may_delete(thread_id)
            deleted += await _delete(server, own, [thread_id]) if own is not None else 0
        kept += len(thread_ids) - deleted


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
