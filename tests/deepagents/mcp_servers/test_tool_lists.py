"""``GET /mcp/tools``: what a server offers, from the cache or from the server."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import certified
from tests.deepagents.mcp_servers.conftest import Side, Sided
from tests.deepagents.mcp_servers.remote import RemoteServer
from waystation.deepagents.mcp_servers import listing
from waystation.deepagents.tool_source import ToolsUnavailable

Remotes = Callable[..., RemoteServer]


def names(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {tool["name"] for tool in answer.json()["tools"]}


async def test_the_shape_of_a_list(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)

    found = (await side.tools(remote.url)).json()

    assert set(found) == {"tools", "cached", "fetched_at"}
    assert found["cached"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["fetched_at"])
    add = next(tool for tool in found["tools"] if tool["name"] == "add")
    assert add["description"] == "Add two numbers."
    assert add["inputSchema"]["required"] == ["a", "b"]
    assert add["annotations"]["readOnlyHint"] is True


async def test_a_list_is_kept(sided: Sided, remote: RemoteServer) -> None:
    async with sided() as side:
        await side.register(remote.url)
        first = (await side.tools(remote.url)).json()
    remote.mcp.remove_tool("add")

    async with sided() as side:
        again = (await side.tools(remote.url.upper() + "/")).json()
        assert again == {**first, "cached": True}
        assert len(remote.asked("tools/list")) == 1

        refreshed = await side.tools(remote.url, force_refresh="true")
        assert names(refreshed) == {tool["name"] for tool in first["tools"]} - {"add"}
        assert refreshed.json()["cached"] is False
        kept = await side.tools(remote.url)
        assert (names(kept), kept.json()["cached"]) == (names(refreshed), True)


async def test_a_list_grows_old(side: Side, remote: RemoteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    await side.register(remote.url)
    await side.tools(remote.url)
    monkeypatch.setattr(listing, "FRESH_S", -1)

    assert (await side.tools(remote.url)).json()["cached"] is False


async def test_a_changed_server_is_asked_again(side: Side, remote: RemoteServer) -> None:
    created = await side.register(remote.url)
    await side.tools(remote.url)
    await side.http.patch(f"/mcp-servers/{created['id']}", json={"headers": [{"key": "X-A", "value": "b"}]})

    assert (await side.tools(remote.url)).json()["cached"] is False
    assert remote.asked("tools/list")[-1]["x-a"] == "b"


async def test_what_cannot_be_listed(side: Side, remotes: Remotes) -> None:
    locked, gone = remotes("right"), remotes()
    await side.register(locked.url, headers=[{"key": "Authorization", "value": "Bearer wr0ng"}])
    await side.register(gone.url)
    gone.stop()

    refusal = await side.tools(locked.url)
    assert (refusal.status_code, refusal.json()["code"]) == (502, "upstream_error")
    assert "refused the credentials" in refusal.json()["detail"]
    assert "wr0ng" not in refusal.text
    assert (await side.tools(gone.url)).status_code == 502
    assert (await side.tools("https://unknown.example.com")).json()["code"] == "mcp_server_not_found"
    assert (await side.tools("")).json()["code"] == "missing_required_field"
    assert (await side.tools(gone.url, force_refresh="maybe")).status_code == 400
    assert (await side.tools(gone.url, oauth_provider_id="x")).status_code == 400


async def test_a_server_behind_a_token(side: Side, remotes: Remotes) -> None:
    locked = remotes("right")
    await side.register(locked.url, headers=[{"key": "Authorization", "value": "Bearer right"}])

    assert "add" in names(await side.tools(locked.url))


async def test_https_to_a_name_is_checked_by_address(sided: Sided, tmp_path: Path, remotes: Remotes) -> None:
    """The name is looked up once for a request, and what it stands for decides; the certificate is that of the name."""
    context, certificate = certified(tmp_path)
    remote = remotes(None, context)
    url = remote.url.replace("127.0.0.1", "tools.example.com")
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    verify = ssl.create_default_context(cafile=str(certificate))
    verify.check_hostname = False
    async with sided(resolve=resolve, verify=verify) as side:
        await side.register(url)
        assert "add" in names(await side.tools(url))
    before = len(remote.seen)
    async with sided(resolve=resolve, verify=verify, allow_private_urls=False) as side:
        refusal = await side.tools(url, force_refresh="1")
        assert refusal.status_code == 502
        assert "leads to this machine" in refusal.json()["detail"]
        with pytest.raises(ToolsUnavailable, match="leads to this machine"):
            await side.tool(url + "/unregistered", "add")
    assert len(remote.seen) == before
    assert asked


def page_of(cursor: str | None, pages: int) -> dict[str, Any]:
    """One tool, and where the next is."""
    number = int(cursor or 0)
    page: dict[str, Any] = {"tools": [{"name": f"t{number}", "inputSchema": {"type": "object"}}]}
    return page if number + 1 == pages else {**page, "nextCursor": str(number + 1)}


async def test_all_pages_are_read(side: Side, remote: RemoteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_PAGES", 5)
    await side.register(remote.url)
    remote.answer = {"server/discover": 404}  # what the server answers by itself below is of the older protocol
    remote.replies["tools/list"] = lambda params: page_of(params.get("cursor"), pages=3)

    assert names(await side.tools(remote.url)) == {"t0", "t1", "t2"}

    remote.replies["tools/list"] = lambda params: page_of(params.get("cursor"), pages=10**9)
    endless = await side.tools(remote.url, force_refresh="true")
    assert (endless.status_code, "come to an end" in endless.json()["detail"]) == (502, True)
    remote.replies["tools/list"] = lambda params: {"tools": [{"name": "x" * 17_000_000, "inputSchema": {}}]}
    huge = await side.tools(remote.url, force_refresh="true")
    assert (huge.status_code, "more than 16777216 bytes" in huge.json()["detail"]) == (502, True)
    remote.replies["tools/list"] = lambda params: {"tools": "none"}
    assert (await side.tools(remote.url, force_refresh="true")).status_code == 502


async def test_redirects_take_no_credentials_elsewhere(side: Side, remotes: Remotes) -> None:
    remote, elsewhere = remotes("right"), remotes()
    await side.register(remote.url, headers=[{"key": "Authorization", "value": "Bearer right"}])
    remote.redirect = elsewhere.url

    assert (await side.tools(remote.url)).status_code == 502
    assert elsewhere.seen == []
