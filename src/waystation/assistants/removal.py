"""Deleting an assistant, with its runs and, on request, the threads it worked on (spec 2.3)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from waystation.assistants import queries
from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.threads.deletion import delete_threads_of_assistant

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["remove"]


May = Callable[[str, dict[str, Any]], Awaitable[Access | None]]
"""The caller's access to a thread for an action on it, given the event's value; None if it is refused."""


async def remove(server: Server, access: Access, assistant_id: str, may: May | None, *, delete_threads: bool) -> None:
    """Delete the assistant, then cancel what it has in flight: in this order no new run can slip in between.

    The threads go first, so that after a crash in the middle the request can be repeated. Threads of others stay as they are,
    and so do the runs on them; if handlers decide what is whose, `may` asks them. Raises NotFound, Forbidden.
    """

    async def may_delete(thread_id: str) -> Access | None:
        return access if may is None else await may("delete", {"thread_id": thread_id})

    await server.db.read(queries.require_own, assistant_id, access)
    if delete_threads:
        found_by = access if may is None else EVERYTHING
        await delete_threads_of_assistant(server, found_by, assistant_id, may_delete)
    await server.db.write(queries.remove, assistant_id, access)
    if may is None:
        await server.engine.cancel_assistant_runs(assistant_id)
        return
    for run_id, thread_id in await server.engine.runs_of_assistant(assistant_id):
        own = await may("update", {"thread_id": thread_id, "run_id": run_id, "action": "interrupt", "metadata": {}})
        if own is not None:
            with contextlib.suppress(NotFound):  # somebody else's, or over by now
                await server.engine.cancel(own, thread_id, run_id, "interrupt")
