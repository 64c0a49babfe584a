"""Credentials are stored encrypted, or not at all, and appear nowhere else."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import Connection, select

from tests.deepagents.mcp_servers.conftest import KEY, Side, Sided
from tests.deepagents.mcp_servers.remote import RemoteServer
from waystation.cli.serving import configuration
from waystation.deepagents.tool_source import ToolsUnavailable
from waystation.secrets.key_file import KEY_FILE, kept_key
from waystation.storage.tables import mcp_servers, metadata

URL = "https://tools.example.com/mcp"
SECRET = "s3cret-t0ken"
TOKEN = [{"key": "Authorization", "value": f"Bearer {SECRET}"}]
OTHER = "o" * 32


def everything(conn: Connection) -> bytes:
    """All that is in the database, as it is there."""
    found = b""
    for table in metadata.sorted_tables:
        for row in conn.execute(select(table)):
            found += b"|".join(
                bytes(each) if isinstance(each, (bytes, memoryview)) else repr(each).encode() for each in row
            )
    return found


async def servers_of(side: Side) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await side.http.get("/mcp-servers")).json()
    return found


async def test_a_secret_is_not_in_the_database(
    sided: Sided, tmp_path: Path, remotes: Callable[..., RemoteServer]
) -> None:
    remote = remotes(SECRET)
    async with sided() as side:
        await side.register(remote.url, headers=TOKEN)
        await side.tools(remote.url)
        stored = await side.server.db.read(everything)

    assert remote.url.encode() in stored
    assert b"whoami" in stored, "the list of tools"
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for text in (SECRET, "Authorization", KEY):
        assert text.encode() not in stored + on_disk


async def test_a_secret_is_not_in_the_log(
    side: Side, remotes: Callable[..., RemoteServer], caplog: pytest.LogCaptureFixture
) -> None:
    remote = remotes(SECRET)
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        created = await side.register(remote.url, headers=TOKEN)
        tool = await side.tool(remote.url, "whoami")
        await side.servers.tools.health("default", [remote.url])
        remote.cut = {"tools/call"}
        await tool.ainvoke({})
        remote.token = "other"
        await side.tools(remote.url, force_refresh=1)
        headers = [{"key": "A B", "value": SECRET}]
        await side.http.patch(f"/mcp-servers/{created['id']}", json={"headers": headers})

    assert lines
    assert SECRET not in caplog.text + repr(lines)
    assert len(caplog.records) > 20, "that of the libraries is looked at"


async def test_a_restart_keeps_credentials(sided: Sided) -> None:
    async with sided() as side:
        created = await side.register(URL, headers=TOKEN)
    async with sided() as side:
        assert await servers_of(side) == [created]


async def test_keys_are_replaced(sided: Sided) -> None:
    """Old and new side by side for a while; then the old one can go."""
    async with sided(secret_keys=(KEY,)) as side:
        created = await side.register(URL, headers=TOKEN)
        old = await side.server.db.read(lambda conn: bytes(conn.execute(select(mcp_servers.c.headers)).scalar_one()))
    async with sided(secret_keys=(OTHER, KEY)) as side:
        assert await servers_of(side) == [created]
        new = await side.server.db.read(lambda conn: bytes(conn.execute(select(mcp_servers.c.headers)).scalar_one()))
    assert new[:4] != old[:4]
    async with sided(secret_keys=(OTHER,)) as side:
        assert await servers_of(side) == [created]


async def test_credentials_of_a_lost_key(sided: Sided) -> None:
    """Their server cannot be invoked, the others can, and storing them again helps."""
    async with sided() as side:
        lost = await side.register(URL, headers=TOKEN)
        open_ = await side.register("https://open.example.com")
    async with sided(secret_keys=(OTHER, "x" * 32)) as side:
        first, second = await servers_of(side)
        assert first == {**{name: value for name, value in lost.items() if name != "headers"}, "can_invoke": False}
        assert second == open_
        tools = await side.tools(URL)
        assert (tools.status_code, "again" in tools.json()["detail"]) == (503, True)
        with pytest.raises(ToolsUnavailable, match="its credentials cannot be used"):
            await side.tool(URL, "add")

        path = f"/mcp-servers/{lost['id']}"
        assert (await side.http.patch(path, json={"headers": TOKEN})).json()["headers"] == TOKEN


async def test_credentials_belong_to_their_server(sided: Sided) -> None:
    """Whoever can write to the database cannot have one server sent what is for another."""
    async with sided() as side:
        await side.register(URL, headers=TOKEN)
        await side.register("https://evil.example.com", headers=[{"key": "A", "value": "b"}])

        def swap(conn: Connection) -> None:
            stolen = conn.execute(select(mcp_servers.c.headers).where(mcp_servers.c.url == URL)).scalar_one()
            conn.execute(mcp_servers.update().where(mcp_servers.c.url != URL).values(headers=stolen))

        await side.server.db.write(swap)
        assert [each.get("can_invoke") for each in await servers_of(side)] == [None, False]


async def test_without_a_key_nothing_is_stored(sided: Sided) -> None:
    async with sided(secret_keys=()) as side:
        await side.register("https://open.example.com")
        answer: httpx.Response = await side.http.post("/mcp-servers", json={"name": "n", "url": URL, "headers": TOKEN})

        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert "set WAYSTATION_SECRET_KEY" in answer.json()["detail"]
        assert len(await servers_of(side)) == 1


async def test_dev_makes_a_key(sided: Sided, tmp_path: Path) -> None:
    path = tmp_path / "data" / KEY_FILE
    for _ in range(2):
        async with sided(secret_keys=(), key_file=path) as side:
            if not await servers_of(side):
                await side.register(URL, headers=TOKEN)
            assert [each["headers"] for each in await servers_of(side)] == [TOKEN]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text()) >= 32
    assert [each.name for each in path.parent.glob("secret*")] == [KEY_FILE]


def test_a_key_that_has_appeared_meanwhile_is_everybodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept_key(tmp_path / KEY_FILE)
    monkeypatch.setattr(Path, "exists", lambda _path: False)

    assert kept_key(tmp_path / KEY_FILE) == first


def test_only_dev_makes_a_key(tmp_path: Path) -> None:
    project = tmp_path / "langgraph.json"
    project.write_text('{"graphs": {"g": "./g.py:graph"}}')

    assert configuration(project, {}, dev=True).key_file == tmp_path / ".waystation" / KEY_FILE
    assert configuration(project, {}).key_file is None
