"""What the vendor's clients, the asynchronous and the other one, do with MCP servers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from managed_deepagents import AsyncClient, Client, ManagedDeepAgentsAPIError
from starlette.applications import Starlette

from tests.conftest import project_config
from tests.deepagents.conftest import contractual
from tests.deepagents.contract import check, checked
from tests.deepagents.mcp_servers.conftest import KEY
from tests.deepagents.mcp_servers.remote import RemoteServer
from tests.live import LiveServer, listening
from waystation.app import create_app

HEADERS = [{"key": "X-Token", "value": "t"}]

OAUTH = {"auth_type": "oauth", "oauth_mode": "per_user_dynamic_client"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    path: Path = tmp_path_factory.mktemp("mcp")
    app: Starlette = create_app(project_config(path, secret_keys=(KEY,), allow_private_urls=True))
    with listening(app) as server:
        yield server


async def valued(found: Any) -> Any:
    """What a client answers, at once or later."""
    return await found if inspect.isawaitable(found) else found


@pytest.mark.parametrize("base", ["", "/v1/fleet"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_every_operation(
    live: LiveServer, remotes: Callable[..., RemoteServer], kind: type[Client | AsyncClient], base: str
) -> None:
    remote = remotes()
    is_async = kind is AsyncClient
    http: Any = (
        httpx.AsyncClient(verify=False, event_hooks={"response": [contractual]})
        if is_async
        else httpx.Client(verify=False, event_hooks={"response": [lambda response: check(response, response.read())]})
    )
    client: Any = kind(api_url=live.url + base, http_client=http)

    created = await valued(client.mcp_servers.create(name="remote", url=remote.url, headers=HEADERS))
    assert created["headers"] == HEADERS
    assert await valued(client.mcp_servers.get(created["id"])) == created
    assert created in await valued(client.mcp_servers.list())
    changed = await valued(client.mcp_servers.update(created["id"], {"headers": []}))
    assert changed["headers"] == []
    listed = await valued(client.mcp_servers.list_tools(url=remote.url))
    assert "add" in {tool["name"] for tool in listed["tools"]}
    assert (await valued(client.mcp_servers.list_tools(url=remote.url)))["cached"] is True
    again = await valued(client.mcp_servers.list_tools(url=remote.url, force_refresh=True))
    assert again["cached"] is False

    oauth = await valued(client.mcp_servers.create(name="oauth", url=f"{remote.url}/{kind.__name__}{base}", **OAUTH))
    session = {"provider_id": "p", "scopes": [], "strategy": "REUSE"}
    asking: list[Callable[[], Any]] = [
        lambda: client.mcp_servers.register_oauth_provider(oauth["id"]),
        lambda: client.mcp_servers.list_tools(url=oauth["url"]),
        lambda: client.auth_sessions.create(session),
        lambda: client.auth_sessions.get(oauth["id"]),
    ]
    for ask in asking:
        with pytest.raises(ManagedDeepAgentsAPIError) as refused:
            await valued(ask())
        assert (refused.value.status_code, refused.value.code) == (503, "service_unavailable")
        assert "OAuth" in str(refused.value)

    for server in (created, oauth):
        assert await valued(client.mcp_servers.delete(server["id"])) is None
        with pytest.raises(ManagedDeepAgentsAPIError) as gone:
            await valued(client.mcp_servers.get(server["id"]))
        assert (gone.value.status_code, gone.value.code) == (404, "mcp_server_not_found")
    await valued(http.aclose() if is_async else http.close())


def test_sign_in_has_to_be_asked_for_properly(live: LiveServer) -> None:
    with httpx.Client(base_url=f"{live.url}/v1/deepagents", verify=False) as http:
        unknown = checked(http.get("/auth-sessions/nothing"))
        assert (unknown.status_code, unknown.json()["code"]) == (404, "auth_session_not_found")
        for body, code in (
            ({"scopes": [], "strategy": "REUSE"}, "missing_required_field"),
            ({"provider_id": "p", "scopes": "all", "strategy": "REUSE"}, "invalid_request_body"),
        ):
            refused = checked(http.post("/auth-sessions", json=body))
            assert (refused.status_code, refused.json()["code"]) == (400, code)
