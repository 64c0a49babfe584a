"""Registering MCP servers: what is checked, and what is stored (MDA 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from uuid_utils import uuid7

from waystation.deepagents.errors import InvalidField
from waystation.deepagents.mcp_servers import headers, queries
from waystation.deepagents.mcp_servers.failures import DuplicateServer
from waystation.deepagents.mcp_servers.models import HeaderModel, ServerCreate, ServerPatch
from waystation.deepagents.urls import url_key
from waystation.errors import SealBroken
from waystation.outgoing import UrlPolicy, UrlRefused
from waystation.secrets import SecretBox
from waystation.storage.database import Database
from waystation.timestamps import now_us

__all__ = ["Registry"]

log = structlog.get_logger("waystation.mcp_servers")

LONGEST_TEXT = 255
"""Characters of names and of the ids of others."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Registry:
    """The MCP servers of all workspaces."""

    def __init__(self, db: Database, box: SecretBox, urls: UrlPolicy) -> None:
        self._db = db
        self._box = box
        self._urls = urls

    async def create(self, workspace: str, body: ServerCreate) -> dict[str, Any]:
        """Register a server; returns its row. Raises InvalidField, DuplicateServer, and Unavailable when there
        is no key to encrypt its headers with."""
        server_id, now = str(uuid7()), now_us()
        given = _headers(body.headers) or []
        row: dict[str, Any] = {
            "server_id": server_id,
            "workspace": workspace,
            "name": _text("name", body.name),
            **self._url(body.url),
            "auth_type": body.auth_type or "",
            "oauth_mode": body.oauth_mode or "",
            "oauth_provider_id": _provider_id(body.oauth_provider_id),
            "vendor_id": _text("vendor_id", body.vendor_id),
            "external_system_id": _text("external_system_id", body.external_system_id),
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }
        _check_together(row, has_headers=bool(given))
        row["headers"] = headers.sealed(self._box, server_id, given)
        try:
            await self._db.write(queries.create, row)
        except IntegrityError:
            raise DuplicateServer from None
        return row

    async def all_of(self, workspace: str) -> list[dict[str, Any]]:
        """The rows of a workspace's servers, the oldest first."""
        return await self._db.read(queries.all_of, workspace)

    async def get(self, workspace: str, server_id: str) -> dict[str, Any]:
        """Raises ServerNotFound."""
        return await self._db.lookup(queries.get, workspace, server_id)

    async def update(self, workspace: str, server_id: str, body: ServerPatch) -> dict[str, Any]:
        """Change a server; returns its row. Raises what `create` raises, and ServerNotFound."""
        if (body.model_extra or {}).get("name") is not None:
            raise InvalidField("leave out 'name': the name of an MCP server cannot be changed")
        changes: dict[str, Any] = {} if body.url is None else self._url(body.url)
        for field in ("auth_type", "oauth_mode"):
            if (value := getattr(body, field)) is not None:
                changes[field] = value
        if "oauth_provider_id" in body.model_fields_set:
            changes["oauth_provider_id"] = _provider_id(body.oauth_provider_id)
        given = _headers(body.headers)
        if given is not None:
            changes["headers"] = headers.sealed(self._box, server_id, given)
        try:
            return await self._db.write(_update, workspace, server_id, changes, now_us())
        except IntegrityError:
            raise DuplicateServer from None

    async def remove(self, workspace: str, server_id: str) -> None:
        """Delete a server, if there is one."""
        await self._db.write(queries.remove, workspace, server_id)

    async def encrypt_anew(self) -> int:
        """Encrypt with the current key whatever is encrypted with a former one, so that it can be given up; returns how many
        servers that were. What no key decrypts stays as it is."""
        return await self._db.write(self._encrypt_anew)

    def _encrypt_anew(self, conn: Connection) -> int:
        count = 0
        for each in queries.sealed(conn):
            row = queries.lock(conn, each["workspace"], each["server_id"])
            if row["headers"] is None or self._box.is_current(bytes(row["headers"])):
                continue
            try:
                given = headers.opened(self._box, row)
            except SealBroken as error:
                log.error("the credentials of an MCP server cannot be decrypted", error=error.message)
                continue
            anew = headers.sealed(self._box, row["server_id"], given)
            queries.update_columns(conn, row["server_id"], {"headers": anew})
            count += 1
        return count

    def _url(self, url: str) -> dict[str, str]:
        url = url.strip()
        try:
            self._urls.check(url)
        except UrlRefused as error:
            raise InvalidField(f"set 'url' to an address that this server may call: {error.message}") from None
        return {"url": url, "url_key": url_key(url)}


def _update(conn: Connection, workspace: str, server_id: str, changes: Mapping[str, Any], now: int) -> dict[str, Any]:
    row = queries.lock(conn, workspace, server_id)
    changed = {**changes, "version": row["version"] + 1, "updated_at": max(now, row["updated_at"] + 1)}
    row.update(changed)
    _check_together(row, has_headers=row["headers"] is not None)
    queries.update_columns(conn, server_id, changed)
    return row


def _check_together(row: Mapping[str, Any], *, has_headers: bool) -> None:
    """Raises InvalidField for a server that would be signed in to in two ways, or by half of one."""
    if row["auth_type"] == "oauth":
        if has_headers:
            raise InvalidField(
                "leave 'headers' empty or set 'auth_type' to 'headers': one server cannot have both ways to sign in"
            )
        return
    for field in ("oauth_mode", "oauth_provider_id"):
        if row[field]:
            raise InvalidField(f"set 'auth_type' to 'oauth', or leave out {field!r}: it means nothing without")


def _headers(given: Sequence[HeaderModel] | None) -> list[headers.Header] | None:
    return None if given is None else headers.checked((each.key, each.value) for each in given)


def _text(field: str, value: str | None) -> str | None:
    if value is None:
        return None
    value = value.strip()
    if _CONTROL.search(value) or len(value) > LONGEST_TEXT:
        raise InvalidField(
            f"set {field!r} to at most {LONGEST_TEXT} characters in one line: it is longer, or has control characters"
        )
    return value


def _provider_id(given: str | None) -> str | None:
    if not given:
        return None
    try:
        return str(UUID(given))
    except ValueError:
        raise InvalidField("set 'oauth_provider_id' to a UUID: it is not one") from None
