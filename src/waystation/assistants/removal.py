"""Deleting an assistant, with its runs and, on request, the threads it worked on (spec 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waystation.assistants import queries
from waystation.auth.access import Access
from waystation.threads.deletion import delete_threads_of_assistant

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["remove"]


async def remove(server: Server, access: Access, assistant_id: str, delete_threads: bool) -> None:
    """Delete the assistant, then cancel what it has in flight: in this order no new run can slip in between.

    The threads go first, so that after a crash in the middle the request can be repeated. Raises NotFound.
    """
    await server.db.read(queries.get, assistant_id, access)
    if delete_threads:
        await delete_threads_of_assistant(server, access, assistant_id)
    await server.db.write(queries.remove, assistant_id, access)
    await server.engine.cancel_assistant_runs(assistant_id)
