"""All that a server has of MCP servers, and the order in which it begins and ends."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import structlog

from waystation.deepagents.errors import InvalidQuery, McpServerFailed
from waystation.deepagents.mcp_servers.connections import Connections, Timing
from waystation.deepagents.mcp_servers.failures import ServerFailed, ServerNotFound
from waystation.deepagents.mcp_servers.listing import Listing, Listings
from waystation.deepagents.mcp_servers.registry import Registry
from waystation.deepagents.mcp_servers.targets import Targets, is_oauth
from waystation.deepagents.mcp_servers.tools import McpTools
from waystation.deepagents.urls import policy_of
from waystation.outgoing import Resolve, resolve
from waystation.secrets import SecretBox

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.deepagents.mcp_servers.transport import Outgoing
    from waystation.storage.database import Database

__all__ = ["McpServers"]

log = structlog.get_logger("waystation.mcp_servers")


class McpServers:
    """The registry, and what uses it. Costs nothing before it is used."""

    def __init__(
        self,
        db: Database,
        config: Config,
        *,
        timing: Timing | None = None,
        resolve: Resolve = resolve,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        urls = policy_of(config)
        box = SecretBox(lambda: _keys(config))

        def outgoing() -> Outgoing:
            from waystation.deepagents.mcp_servers.transport import Outgoing

            return Outgoing(urls, resolve, verify)

        self.registry = Registry(db, box, urls)
        self.targets = Targets(db, box)
        self._rotates = len(config.secret_keys) > 1
        self._connections = Connections(outgoing, timing or Timing(call_s=config.mcp_call_timeout_s))
        self._listings = Listings(db, self._connections)
        self.tools = McpTools(self.targets, self._connections, self._listings)

    async def start(self) -> None:
        """Encrypt with the first of several keys what others have encrypted."""
        if self._rotates and (count := await self.registry.encrypt_anew()):
            log.info("the credentials of MCP servers were encrypted with the current key", servers=count)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def list_tools(
        self, workspace: str, url: str, *, force_refresh: bool, oauth_provider_id: str | None
    ) -> Listing:
        """What the registered server at `url` offers. Raises ServerNotFound, OAuthUnavailable, NotConnected, McpServerFailed, and
        InvalidQuery for a provider of a server that has none."""
        found: Any = (await self.targets.find(workspace, [url]))[url]
        if found.row is None:
            raise ServerNotFound(
                "register the MCP server, or use the 'url' of one that is: there is none with this URL"
            )
        if oauth_provider_id is not None and not is_oauth(found.row):
            raise InvalidQuery("leave out 'oauth_provider_id': the MCP server is used with headers")
        target = self.targets.target(workspace, url, found.row)
        kept = None if force_refresh else Listings.fresh(found.tools)
        if kept is not None:
            return kept
        try:
            return await asyncio.wrap_future(self._connections.run(self._listings.fetch(target)))
        except ServerFailed as failure:
            raise McpServerFailed(f"check the MCP server: {failure.message}") from None


def _keys(config: Config) -> tuple[str, ...]:
    if config.secret_keys or config.key_file is None:
        return config.secret_keys
    from waystation.secrets.key_file import kept_key

    return (kept_key(config.key_file),)
