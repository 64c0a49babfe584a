"""Tools of MCP servers, as an agent has them: which there are, what a call carries, and what a broken server costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import ToolMessage

from tests.deepagents.compile.given import Desk
from tests.deepagents.mcp_servers.conftest import QUICK, Side, Sided
from tests.deepagents.mcp_servers.remote import PIXEL, RemoteServer
from waystation.deepagents.compile import ServerTools, ToolsUnavailable, parse_tree
from waystation.deepagents.compile.tools import attach, list_servers
from waystation.encoding import encode

Remotes = Callable[..., RemoteServer]


async def called(side: Side, url: str, name: str, **arguments: Any) -> ToolMessage:
    message: ToolMessage = await (await side.tool(url, name)).ainvoke(call(name, **arguments))
    return message


def call(name: str, **arguments: Any) -> Any:
    return {"type": "tool_call", "id": "1", "name": name, "args": arguments}


def of(*urls: str) -> dict[str, Any]:
    """The field ``tools`` of an agent."""
    return {"tools": [{"name": "add", "mcp_server_url": url} for url in urls]}


HANDSHAKE = {"server/discover": 404}
"""What makes a server one of the older protocol, with sessions."""


@pytest.mark.parametrize("answer", [{}, HANDSHAKE])
async def test_a_tool_is_called(side: Side, remote: RemoteServer, answer: dict[str, int]) -> None:
    remote.answer = answer
    await side.register(remote.url)

    tool = await side.tool(remote.url, "add")
    message = await tool.ainvoke(call("add", a=2, b=3))

    assert tool.name == "add"
    assert tool.description == "Add two numbers."
    assert tool.args == {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer"}}
    assert message.content == "5"
    assert message.artifact == {"structured_content": {"result": 5}}
    assert message.status == "success"
    assert await asyncio.to_thread(tool.invoke, {"a": 4, "b": 5}) == "9"
    renamed = tool.model_copy(update={"name": "remote_add"})
    assert (await renamed.ainvoke(call("remote_add", a=1, b=1))).content == "2"


async def test_a_call_carries_the_credentials_of_that_moment(side: Side, remotes: Remotes) -> None:
    remote = remotes("first")
    server = await side.register(remote.url, headers=[{"key": "Authorization", "value": "Bearer first"}])
    tool = await side.tool(remote.url, "whoami")
    assert (await tool.ainvoke(call("whoami"))).content == "Bearer first"
    assert "first" not in repr(tool) + str(tool.model_dump(exclude={"args_schema"}))

    remote.token = "second"
    headers = [{"key": "Authorization", "value": "Bearer second"}]
    await side.http.patch(f"/mcp-servers/{server['id']}", json={"headers": headers})

    assert (await tool.ainvoke(call("whoami"))).content == "Bearer second"

    await side.http.delete(f"/mcp-servers/{server['id']}")
    refused = await tool.ainvoke(call("whoami"))
    assert refused.status == "error"
    assert "refused the credentials (status 401)" in refused.content


async def test_credentials_go_to_the_url_that_was_registered(side: Side, remotes: Remotes) -> None:
    remote = remotes("t0ken")
    await side.register(remote.url, headers=[{"key": "Authorization", "value": "Bearer t0ken"}])

    message = await called(side, f" {remote.url.upper()}/ ", "whoami")

    assert message.content == "Bearer t0ken"


async def test_an_unregistered_server_gets_none(side: Side, remote: RemoteServer) -> None:
    assert (await called(side, remote.url, "whoami")).content == "nobody"


async def test_calls_share_a_connection(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    tool = await side.tool(remote.url, "add")
    await tool.ainvoke(call("add", a=0, b=0))
    sockets = len(remote.connections)

    for number in range(10):
        await tool.ainvoke(call("add", a=number, b=1))

    assert len(remote.connections) == sockets
    assert len(remote.asked("initialize")) + len(remote.asked("server/discover")) == 1
    assert len(remote.asked("tools/call")) == 11


async def test_a_connection_that_nobody_uses_is_closed(sided: Sided, remote: RemoteServer) -> None:
    remote.answer = HANDSHAKE
    async with sided(timing=replace(QUICK, idle_s=0.01)) as side:
        tool = await side.tool(remote.url, "add")
        while len(remote.asked("DELETE")) < 2:  # the goodbye to a session
            assert (await tool.ainvoke(call("add", a=1, b=1))).content == "2"


async def test_closing_says_goodbye(sided: Sided, remote: RemoteServer) -> None:
    remote.answer = HANDSHAKE
    async with sided() as side:
        await side.tool(remote.url, "add")
        assert remote.asked("DELETE") == []
    assert len(remote.asked("DELETE")) == 1


async def test_a_cancelled_run_cancels_its_call(side: Side, remote: RemoteServer) -> None:
    tool = await side.tool(remote.url, "sleeps")
    task = asyncio.create_task(tool.ainvoke(call("sleeps")))
    await asyncio.to_thread(remote.sleeping.wait)

    task.cancel()

    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await asyncio.to_thread(remote.stopped_sleeping.wait)


async def test_servers_are_listed_at_the_same_time_and_once(side: Side, remotes: Remotes) -> None:
    """Each holds its list back until the other has been asked too."""
    both = threading.Barrier(2, timeout=4)
    servers = [remotes(), remotes()]
    for remote in servers:
        remote.before["tools/list"] = both.wait
        await side.register(remote.url)
    toolbox = parse_tree({"tools.json": encode(of(*(remote.url for remote in servers))).decode()})

    found = await asyncio.gather(*(list_servers(toolbox, side.servers.tools.within("default")) for _ in range(5)))

    assert all(isinstance(server, ServerTools) for each in found for server in each.values())
    assert [len(remote.asked("tools/list")) for remote in servers] == [1, 1]


async def test_a_server_that_is_dead_or_hangs_is_given_up(side: Side, remotes: Remotes) -> None:
    hanging, dead = remotes(), remotes()
    await side.register(hanging.url)
    await side.register(dead.url)
    dead.stop()
    hanging.hang = {"tools/list"}
    with pytest.raises(ToolsUnavailable, match="no connection could be made"):
        await side.source(dead.url, "add")
    with pytest.raises(ToolsUnavailable, match="did not answer within"):
        await side.source(hanging.url, "add")
    hanging.hang = set()
    assert (await called(side, hanging.url, "add", a=1, b=1)).content == "2"


async def test_the_version_is_that_of_the_definitions(side: Side, remote: RemoteServer) -> None:
    """Graphs are kept by it: a graph is not to outlive what it was made of, nor to serve another workspace."""
    registered = await side.register(remote.url)

    async def version(*names: str, workspace: str = "default") -> str:
        await side.tools(remote.url, force_refresh=1)
        return (await side.source(remote.url, *names, workspace=workspace)).version

    first = await version("add", "whoami")
    assert await version("whoami", "add", "no_such_tool") == first
    await side.http.patch(f"/mcp-servers/{registered['id']}", json={"headers": [{"key": "X-A", "value": "b"}]})
    remote.mcp.remove_tool("picture")
    assert await version("add", "whoami") == first
    assert await version("add", "whoami", workspace="other") != first
    remote.mcp.remove_tool("add")
    remote.mcp.add_tool(lambda a: a, name="add", description="Something else.")
    assert await version("add", "whoami") != first


async def test_an_agent_calls_the_tools_of_its_servers(side: Side, remotes: Remotes) -> None:
    """And is told which it has to do without."""
    alive, dead = remotes("t0ken"), remotes()
    await side.register(alive.url, headers=[{"key": "Authorization", "value": "Bearer t0ken"}])
    dead.stop()
    toolbox = of(alive.url, dead.url)
    definition = parse_tree({"tools.json": encode(toolbox).decode()}, model="demo:chat")
    source = side.servers.tools.within("default")
    agent = await Desk(side.server.db).open(definition, tools=source)

    attached = attach(definition.toolbox, await list_servers(definition, source))
    [name] = [tool.name for tool in attached.tools]
    await agent.say(f'call {name} {{"a": 2, "b": 3}}')

    assert await agent.tool_results() == ["5"]
    assert [f"the server {dead.url}: no connection could be made" in each for each in attached.missing] == [True]


async def test_a_call_that_hangs_does_not_end_the_run_or_other_calls(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    add, sleeps = (await side.source(remote.url, "sleeps", "add")).tools

    sleeping = asyncio.create_task(sleeps.ainvoke(call("sleeps")))
    await asyncio.to_thread(remote.sleeping.wait)
    assert (await add.ainvoke(call("add", a=1, b=2))).content == "3"

    message = await sleeping
    assert message.status == "error"
    assert "it did not answer within 1 s" in message.content


async def test_a_server_that_dies_in_the_middle(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    tool = await side.tool(remote.url, "add")
    remote.cut = {"tools/call"}

    message = await tool.ainvoke(call("add", a=1, b=2))

    assert message.status == "error"
    assert "the connection broke before it had answered" in message.content
    assert len(remote.asked("tools/call")) == 1, "what may have been done is not done again"
    remote.cut = set()
    assert (await tool.ainvoke(call("add", a=1, b=2))).content == "3"


async def test_a_server_that_was_restarted(side: Side, remote: RemoteServer) -> None:
    """Sessions that it knew are gone; whoever still holds one begins another."""
    await side.register(remote.url)
    tool = await side.tool(remote.url, "add")
    assert (await tool.ainvoke(call("add", a=1, b=1))).content == "2"

    remote.stop()
    message = await tool.ainvoke(call("add", a=1, b=2))
    assert (message.status, "no connection could be made" in message.content) == ("error", True)
    remote.start()

    assert (await tool.ainvoke(call("add", a=1, b=3))).content == "4"


@pytest.mark.parametrize("answer", [{}, HANDSHAKE])
async def test_a_forgotten_session_is_begun_again(side: Side, remote: RemoteServer, answer: dict[str, int]) -> None:
    remote.answer = answer
    await side.register(remote.url)
    tool = await side.tool(remote.url, "add")
    assert (await tool.ainvoke(call("add", a=1, b=1))).content == "2"
    remote.stop()
    remote.start()

    assert (await tool.ainvoke(call("add", a=1, b=2))).content == "3"


async def test_a_tool_that_is_gone(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    tool = await side.tool(remote.url, "add")
    remote.mcp.remove_tool("add")

    message = await tool.ainvoke(call("add", a=1, b=1))

    assert message.status == "error"
    assert "add" in message.content
    assert [each.name for each in (await side.source(remote.url, "add", "no_such_tool")).tools] == ["add"]


async def test_what_a_tool_calls_an_error(side: Side, remote: RemoteServer) -> None:
    message = await called(side, remote.url, "fails")
    assert message.status == "error"
    assert "the moon is in the wrong place" in message.content


async def test_pictures_are_content_blocks(side: Side, remote: RemoteServer) -> None:
    message = await called(side, remote.url, "picture")
    assert isinstance(message.content, list)
    look, picture = message.content
    assert isinstance(look, dict)
    assert isinstance(picture, dict)
    assert look["text"] == "look"
    assert (picture["type"], picture["base64"], picture["mime_type"]) == ("image", PIXEL, "image/png")


async def test_arguments_may_have_any_name(side: Side, remote: RemoteServer) -> None:
    message = await called(side, remote.url, "awkward", config="a", run_manager="b", self="c")
    assert message.content == "a b c"


async def test_an_oauth_server_costs_its_tools(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url, auth_type="oauth", oauth_mode="per_user_dynamic_client")
    with pytest.raises(ToolsUnavailable, match="OAuth"):
        await side.source(remote.url, "add")
    assert remote.seen == []


async def test_health(side: Side, remotes: Remotes) -> None:
    """That of an agent and its subagents, each server once."""
    good, locked, dead, odd = remotes(), remotes("secret"), remotes(), remotes()
    for remote, name in ((good, "good"), (locked, "locked"), (dead, "dead"), (odd, "odd")):
        await side.register(remote.url, name=name)
    dead.stop()
    odd.answer = {"server/discover": 404, "initialize": 404}
    agent = await side.client.agents.create(
        name="a",
        tools=of(good.url, locked.url, dead.url),
        subagents=[{"name": "s", "tools": of(odd.url, good.url + "/")}],
    )

    check = (await side.client.agents.health(agent["id"]))["mcp_check"]

    assert check["ok"] is False
    told = [(each["name"], each["url"], each["ok"], each.get("error_code")) for each in check["servers"]]
    assert told == [
        ("good", good.url, True, None),
        ("locked", locked.url, False, "auth_failed"),
        ("dead", dead.url, False, "unreachable"),
        ("odd", odd.url, False, "invalid_response"),
    ]
    assert all(each["is_default"] is False for each in check["servers"])
    healthy = await side.client.agents.update(agent["id"], tools=of(good.url), subagents=[])
    assert (await side.client.agents.health(healthy["id"]))["mcp_check"]["ok"] is True
