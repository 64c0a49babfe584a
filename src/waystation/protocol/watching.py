"""Who may follow a thread, also while that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.http.authorization import allowed
from waystation.protocol.batches import Batch
from waystation.threads import require_thread

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Watch"]


class Watch:
    """What a caller may see of a thread, which need not be there yet: whoever makes it decides, so it is asked again at the
    beginning of each run."""

    def __init__(self, server: Server, thread_id: str, access: Access) -> None:
        self._server = server
        self._thread_id = thread_id
        self._access = access

    @staticmethod
    async def of(request: Request, thread_id: str) -> Watch:
        """The watch of a request. Raises Starlette's HTTPException if the project's handlers refuse it."""
        access = await allowed(request, "threads", "read", {"thread_id": thread_id})
        return Watch(request.app.state.server, thread_id, access)

    async def hidden(self) -> bool:
        """Whether there is such a thread that the caller may not see."""
        if self._access == EVERYTHING:
            return False
        try:
            await self._server.db.lookup(require_thread, self._thread_id, self._access)
        except NotFound:
            return await self._exists()
        return False

    async def may_see(self, batch: Batch) -> bool:
        """Whether the caller may still see the thread that this comes from."""
        return not batch.starts_run or not await self.hidden()

    async def _exists(self) -> bool:
        try:
            await self._server.db.lookup(require_thread, self._thread_id, EVERYTHING)
        except NotFound:
            return False
        return True
