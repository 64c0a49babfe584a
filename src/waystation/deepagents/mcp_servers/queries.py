"""SQL of MCP servers. Nothing is found without the workspace that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from waystation.deepagents.mcp_servers.failures import ServerNotFound
from waystation.storage.tables import mcp_servers, mcp_tool_lists

__all__ = [
    "all_of",
    "by_urls",
    "create",
    "get",
    "lock",
    "remove",
    "sealed",
    "store_tools",
    "tools_of",
    "update_columns",
]


def create(conn: Connection, row: Mapping[str, Any]) -> None:
    """Store a new server. Raises IntegrityError for a URL that the workspace has."""
    conn.execute(insert(mcp_servers), dict(row))


def all_of(conn: Connection, workspace: str) -> list[dict[str, Any]]:
    """The servers of a workspace, the oldest first."""
    statement = select(mcp_servers).where(mcp_servers.c.workspace == workspace)
    rows = conn.execute(statement.order_by(mcp_servers.c.created_at, mcp_servers.c.server_id))
    return [dict(row) for row in rows.mappings()]


def by_urls(conn: Connection, workspace: str, url_keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The servers that have one of the URLs, by `url_key`."""
    statement = select(mcp_servers).where(
        mcp_servers.c.workspace == workspace, mcp_servers.c.url_key.in_(sorted(set(url_keys)))
    )
    return {row["url_key"]: dict(row) for row in conn.execute(statement).mappings()}


def get(conn: Connection, workspace: str, server_id: str) -> dict[str, Any]:
    """A server's row. Raises ServerNotFound."""
    return _one(conn, workspace, server_id, for_update=False)


def lock(conn: Connection, workspace: str, server_id: str) -> dict[str, Any]:
    """`get`; nobody else changes the server before the transaction ends."""
    return _one(conn, workspace, server_id, for_update=True)


def update_columns(conn: Connection, server_id: str, changes: Mapping[str, Any]) -> None:
    """Raises IntegrityError for a URL that the workspace has."""
    conn.execute(update(mcp_servers).where(mcp_servers.c.server_id == server_id).values(**changes))


def remove(conn: Connection, workspace: str, server_id: str) -> None:
    """Delete a server, if there is one."""
    conn.execute(delete(mcp_servers).where(mcp_servers.c.workspace == workspace, mcp_servers.c.server_id == server_id))


def sealed(conn: Connection) -> list[dict[str, Any]]:
    """Of the servers of all workspaces that have credentials: id, workspace and the encrypted headers, in the order in which to lock
    them."""
    columns = (mcp_servers.c.server_id, mcp_servers.c.workspace, mcp_servers.c.headers)
    statement = select(*columns).where(mcp_servers.c.headers.is_not(None)).order_by(mcp_servers.c.server_id)
    return [dict(row) for row in conn.execute(statement).mappings()]


def tools_of(conn: Connection, servers: Sequence[Mapping[str, Any]]) -> dict[str, tuple[bytes, int]]:
    """What the servers of these rows said last that they offer, with the time, by server id; those that said it before they were
    changed are left out."""
    versions = {row["server_id"]: row["version"] for row in servers}
    statement = select(mcp_tool_lists).where(mcp_tool_lists.c.server_id.in_(sorted(versions)))
    return {
        row["server_id"]: (row["tools"], row["fetched_at"])
        for row in conn.execute(statement).mappings()
        if row["version"] == versions[row["server_id"]]
    }


def store_tools(conn: Connection, workspace: str, server_id: str, version: int, tools: bytes, fetched_at: int) -> None:
    """Keep what a server of this `version` said it offers, unless it has been changed or deleted meanwhile."""
    try:
        row = lock(conn, workspace, server_id)
    except ServerNotFound:
        return
    if row["version"] != version:
        return
    conn.execute(delete(mcp_tool_lists).where(mcp_tool_lists.c.server_id == server_id))
    values = {"server_id": server_id, "version": version, "tools": tools, "fetched_at": fetched_at}
    conn.execute(insert(mcp_tool_lists), values)


def _one(conn: Connection, workspace: str, server_id: str, *, for_update: bool) -> dict[str, Any]:
    statement = select(mcp_servers).where(mcp_servers.c.workspace == workspace, mcp_servers.c.server_id == server_id)
    row = conn.execute(statement.with_for_update() if for_update else statement).mappings().first()
    if row is None:
        raise ServerNotFound
    return dict(row)
