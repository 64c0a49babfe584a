"""Who sees and calls which tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import Auth

from tests.auth.given import by_header, configured
from tests.auth.owners import owners
from tests.auth.test_api_keys import by, keyed, make_key
from tests.conftest import connected, served
from tests.mcp.conftest import ACCEPT, call, rpc


async def tools(http: httpx.AsyncClient, headers: Mapping[str, str]) -> set[str]:
    return {tool["name"] for tool in (await rpc(http, "tools/list", None, **headers))["result"]["tools"]}


async def make(http: httpx.AsyncClient, name: str, headers: Mapping[str, str]) -> None:
    body = {"graph_id": "echo", "name": name}
    (await http.post("/assistants", json=body, headers=headers)).raise_for_status()


async def test_workspaces(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        ours, theirs = by(await make_key(app, "ours")), by(await make_key(app, "theirs"))
        await make(http, "secret", ours)
        assert {"echo", "secret"} <= await tools(http, ours)
        assert "secret" not in await tools(http, theirs)
        assert (await call(http, "secret", {"x": "a"}, **ours))["structuredContent"]["x"] == "a!"
        refused = await rpc(http, "tools/call", {"name": "secret", "arguments": {}}, **theirs)
        assert refused["error"]["code"] == -32602
        response = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=ACCEPT)
        assert response.status_code == 401


async def test_owners(tmp_path: Path) -> None:
    ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
    async with served(tmp_path, auth=configured(owners())) as app, connected(app) as http:
        await make(http, "annes", ann)
        assert await tools(http, ann) == {"annes"}
        assert await tools(http, bob) == set()
        assert (await call(http, "annes", {"x": "a"}, **ann))["structuredContent"]["x"] == "a!"
        refused = await rpc(http, "tools/call", {"name": "annes", "arguments": {}}, **bob)
        assert refused["error"]["code"] == -32602


async def test_handlers_are_asked(tmp_path: Path) -> None:
    asked: list[str] = []
    auth = by_header()

    @auth.on
    async def note(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
        asked.append(f"{ctx.resource}.{ctx.action}")
        return ctx.action != "create_run" or ctx.user.identity == "ann"

    async with served(tmp_path, auth=configured(auth)) as app, connected(app) as http:
        await call(http, "echo", {"x": "a"}, **{"X-User": "ann"})
        assert asked == ["assistants.search", "assistants.read", "threads.create_run"]
        refused = await call(http, "echo", {"x": "a"}, **{"X-User": "bob"})
        assert refused["isError"] is True
        assert refused["content"][0]["text"] == "Forbidden"
