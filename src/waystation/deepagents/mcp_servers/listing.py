"""What servers offer: asked for, and kept in the database for a while (MDA 14)."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from waystation.deepagents.mcp_servers import queries
from waystation.deepagents.mcp_servers.connections import Connections, Target
from waystation.deepagents.mcp_servers.failures import ServerFailed
from waystation.encoding import decode, encode
from waystation.storage.database import Database
from waystation.timestamps import MICROSECONDS, now_us

if TYPE_CHECKING:
    from mcp import Client

__all__ = ["Listing", "Listings"]

FRESH_S = 60
"""How long a list counts as what the server offers. A change of the server's registration ends that at once."""

MOST_TOOLS = 1000
MOST_PAGES = 100


class Listing(Struct, frozen=True):
    """The tools of a server as the API shows them: ``{"name", "description", "inputSchema", "annotations"?}``."""

    tools: list[dict[str, Any]]
    fetched_at: int
    """In microseconds since the epoch."""
    cached: bool = False


class Listings:
    """Asks servers for their tools, each once at a time. Belongs to the loop of the connections."""

    def __init__(self, db: Database, connections: Connections) -> None:
        self._db = db
        self._connections = connections
        self._under_way: dict[Any, asyncio.Task[Listing]] = {}

    @staticmethod
    def fresh(stored: tuple[bytes, int] | None) -> Listing | None:
        """What was `stored`, as long as it counts."""
        if stored is None or stored[1] + FRESH_S * MICROSECONDS < now_us():
            return None
        return Listing(decode(bytes(stored[0])), stored[1], cached=True)

    async def fetch(self, target: Target) -> Listing:
        """Ask the server. Callers at the same time share the answer; it is kept if the server is a registered one. Raises
        ServerFailed."""
        task = self._under_way.get(target.shared_as)
        if task is None:
            task = asyncio.create_task(
                self._fetch(target), name=f"waystation-mcp-tools-{target.name}", context=contextvars.Context()
            )
            self._under_way[target.shared_as] = task
            task.add_done_callback(lambda done: self._over(target, done))
        return await asyncio.shield(task)

    async def _fetch(self, target: Target) -> Listing:
        tools = await self._connections.call(target, _tools, self._connections.timing.list_s)
        listing = Listing(tools, now_us())
        if target.server_id is not None:
            await self._db.write(
                queries.store_tools,
                target.workspace,
                target.server_id,
                target.version,
                encode(tools),
                listing.fetched_at,
            )
        return listing

    def _over(self, target: Target, task: asyncio.Task[Listing]) -> None:
        self._under_way.pop(target.shared_as, None)
        if not task.cancelled():
            task.exception()  # seen, even if nobody waits any more


async def _tools(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += (_described(tool) for tool in page.tools)
        cursor = page.next_cursor
        if not cursor:
            return found
        if len(found) > MOST_TOOLS:
            break
    raise ServerFailed(
        "invalid_response", f"it offers more than {MOST_TOOLS} tools, or does not come to an end with them"
    )


def _described(tool: Any) -> dict[str, Any]:
    """A tool of the library as the API shows it."""
    described = {"name": tool.name, "description": tool.description or "", "inputSchema": tool.input_schema}
    if tool.annotations is not None:
        described["annotations"] = tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True)
    return described
