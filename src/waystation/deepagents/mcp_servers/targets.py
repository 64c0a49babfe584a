"""From addresses that agents name to what is connected to: the registered server with its credentials, looked up at the time of use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import structlog
from msgspec import Struct
from sqlalchemy import Connection

from waystation.deepagents.mcp_servers import headers, queries
from waystation.deepagents.mcp_servers.connections import Target
from waystation.deepagents.mcp_servers.failures import NotConnected, OAuthUnavailable, ServerFailed
from waystation.deepagents.urls import shown, url_key
from waystation.errors import SealBroken, Unavailable
from waystation.secrets import SecretBox
from waystation.storage.database import Database

__all__ = ["Found", "Targets", "as_failure", "is_oauth"]

log = structlog.get_logger("waystation.mcp_servers")


class Found(Struct, frozen=True):
    """What is known of an address."""

    row: Mapping[str, Any] | None
    """Of the registered server."""
    tools: tuple[bytes, int] | None
    """What it said last that it offers, and when."""


def is_oauth(row: Mapping[str, Any]) -> bool:
    return bool(row["auth_type"] == "oauth")


class Targets:
    """Looks up servers."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def find(self, workspace: str, urls: Iterable[str]) -> dict[str, Found]:
        """What is known of each of `urls`, by URL as given."""
        keys = {url: url_key(url) for url in urls}
        rows, tools = await self._db.lookup(_look_up, workspace, list(keys.values()))
        found = {}
        for url, key in keys.items():
            row = rows.get(key)
            found[url] = Found(row, None if row is None else tools.get(row["server_id"]))
        return found

    def target(self, workspace: str, url: str, row: Mapping[str, Any] | None) -> Target:
        """What to connect to for `url`: the server of `row` with its credentials, or the bare address if nobody has registered it.
        Raises OAuthUnavailable and NotConnected where there are no credentials to be had."""
        if row is None:
            return Target(workspace, url.strip(), httpx.URL(shown(url)).host or "unknown")
        if is_oauth(row):
            raise OAuthUnavailable
        return Target(workspace, row["url"], row["name"], row["server_id"], row["version"], tuple(self.headers(row)))

    def headers(self, row: Mapping[str, Any]) -> list[headers.Header]:
        """The credentials of a server. Raises NotConnected if they cannot be decrypted; the log says why."""
        try:
            return headers.opened(self._box, row)
        except (SealBroken, Unavailable) as error:
            log.error("the credentials of an MCP server cannot be used", server=row["name"], error=error.message)
            raise NotConnected(
                f"store the 'headers' of the MCP server {row['name']!r} again, or give the server the key they were encrypted with: "
                "it does not have that"
            ) from None


def as_failure(error: NotConnected | OAuthUnavailable) -> ServerFailed:
    """The same for runs and for ``health``."""
    what = (
        "nobody can sign in to it by OAuth yet"
        if isinstance(error, OAuthUnavailable)
        else "its credentials cannot be used"
    )
    return ServerFailed("auth_failed", what)


def _look_up(
    conn: Connection, workspace: str, keys: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[bytes, int]]]:
    rows = queries.by_urls(conn, workspace, keys)
    return rows, queries.tools_of(conn, list(rows.values()))
