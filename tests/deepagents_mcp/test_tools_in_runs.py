"""Tools of MCP servers, as an agent has them: which there are, what a call carries, and what a broken server costs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import ToolMessage

from tests.deepagents_mcp.conftest import QUICK, Side, Sided
from tests.deepagents_mcp.remote import PIXEL, RemoteServer
from waystation.deepagents.mcp_servers import Offer, Wanted

Remotes = Callable[..., RemoteServer]


async def offered(side: Side, url: str, *names: str, workspace: str = "default") -> Offer:
    return await side.servers.tools.offer(workspace, [Wanted(url, names)])


async def called(side: Side, url: str, name: str, **arguments: Any) -> ToolMessage:
    offer = await offered(side, url, name)
    message: ToolMessage = await offer.tools[0].tool.ainvoke(call(name, **arguments))
    return message


def call(name: str, **arguments: Any) -> Any:
    return {"type": "tool_call", "id": "1", "name": name, "args": arguments}


HANDSHAKE = {"server/discover": 404}
"""What makes a server one of the older protocol, with sessions."""


@pytest.mark.parametrize("answer", [{}, HANDSHAKE])
async def test_a_tool_is_called(side: Side, remote: RemoteServer, answer: dict[str, int]) -> None:
    remote.answer = answer
    await side.register(remote.url)

    offer = await offered(side, remote.url, "add")
    [tool] = offer.tools
    message = await tool.tool.ainvoke(call("add", a=2, b=3))

    assert (tool.url, tool.name) == (remote.url, "add")
    assert tool.tool.description == "Add two numbers."
    assert tool.tool.args == {"a": {"title": "A", "type": "integer"}, "b": {"title": "B", "type": "integer"}}
    assert message.content == "5"
    assert message.artifact == {"structured_content": {"result": 5}}
    assert message.status == "success"
    assert await asyncio.to_thread(tool.tool.invoke, {"a": 4, "b": 5}) == "9"
    renamed = tool.tool.model_copy(update={"name": "remote_add"})
    assert (await renamed.ainvoke(call("remote_add", a=1, b=1))).content == "2"


async def test_a_call_carries_the_credentials_of_that_moment(side: Side, remotes: Remotes) -> None:
    remote = remotes("first")
    server = await side.register(remote.url, headers=[{"key": "Authorization", "value": "Bearer first"}])
    offer = await offered(side, remote.url, "whoami")
    tool = offer.tools[0].tool
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
    offer = await offered(side, remote.url, "add")
    await offer.tools[0].tool.ainvoke(call("add", a=0, b=0))
    sockets = len(remote.connections)

    for number in range(10):
        await offer.tools[0].tool.ainvoke(call("add", a=number, b=1))

    assert len(remote.connections) == sockets
    assert len(remote.asked("initialize")) + len(remote.asked("server/discover")) == 1
    assert len(remote.asked("tools/call")) == 11


async def test_a_connection_that_nobody_uses_is_closed(sided: Sided, remote: RemoteServer) -> None:
    remote.answer = HANDSHAKE
    async with sided(timing=replace(QUICK, idle_s=0.01)) as side:
        tool = (await offered(side, remote.url, "add")).tools[0].tool
        while len(remote.asked("DELETE")) < 2:  # the goodbye to a session
            assert (await tool.ainvoke(call("add", a=1, b=1))).content == "2"


async def test_closing_says_goodbye(sided: Sided, remote: RemoteServer) -> None:
    remote.answer = HANDSHAKE
    async with sided() as side:
        await offered(side, remote.url, "add")
        assert remote.asked("DELETE") == []
    assert len(remote.asked("DELETE")) == 1


async def test_a_cancelled_run_cancels_its_call(side: Side, remote: RemoteServer) -> None:
    tool = (await offered(side, remote.url, "sleeps")).tools[0].tool
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
    wanted = [Wanted(remote.url, ("add",)) for remote in servers]

    offers = await asyncio.gather(*(side.servers.tools.offer("default", wanted) for _ in range(5)))

    assert all(len(offer.tools) == 2 and not offer.problems for offer in offers)
    assert [len(remote.asked("tools/list")) for remote in servers] == [1, 1]


async def test_a_dead_server_costs_its_tools(side: Side, remotes: Remotes) -> None:
    alive, dead = remotes(), remotes()
    await side.register(alive.url)
    await side.register(dead.url, name="the dead")
    dead.stop()

    offer = await side.servers.tools.offer("default", [Wanted(dead.url, ("add", "fails")), Wanted(alive.url, ("add",))])

    assert [tool.url for tool in offer.tools] == [alive.url]
    [problem] = offer.problems
    assert (problem.server, problem.kind, problem.tools) == ("the dead", "unreachable", ("add", "fails"))
    assert problem.notice == (
        "The MCP server 'the dead' is not available: no connection could be made. "
        "Do without its tools (add, fails), and say so if they are needed."
    )


async def test_a_server_that_hangs_is_given_up(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    remote.hang = {"tools/list"}
    offer = await offered(side, remote.url, "add")
    assert [problem.kind for problem in offer.problems] == ["unreachable"]
    assert "did not answer within" in offer.problems[0].message
    remote.hang = set()
    assert (await called(side, remote.url, "add", a=1, b=1)).content == "2"


async def test_a_call_that_hangs_does_not_end_the_run_or_other_calls(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    offer = await offered(side, remote.url, "sleeps", "add")
    sleeps, add = (each.tool for each in offer.tools)

    sleeping = asyncio.create_task(sleeps.ainvoke(call("sleeps")))
    await asyncio.to_thread(remote.sleeping.wait)
    assert (await add.ainvoke(call("add", a=1, b=2))).content == "3"

    message = await sleeping
    assert message.status == "error"
    assert "it did not answer within 1 s" in message.content


async def test_a_server_that_dies_in_the_middle(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    offer = await offered(side, remote.url, "add")
    tool = offer.tools[0].tool
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
    offer = await offered(side, remote.url, "add")
    tool = offer.tools[0].tool
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
    tool = (await offered(side, remote.url, "add")).tools[0].tool
    assert (await tool.ainvoke(call("add", a=1, b=1))).content == "2"
    remote.stop()
    remote.start()

    assert (await tool.ainvoke(call("add", a=1, b=2))).content == "3"


async def test_a_tool_that_is_gone(side: Side, remote: RemoteServer) -> None:
    await side.register(remote.url)
    tool = (await offered(side, remote.url, "add")).tools[0].tool
    remote.mcp.remove_tool("add")

    message = await tool.ainvoke(call("add", a=1, b=1))

    assert message.status == "error"
    assert "add" in message.content
    missing = await offered(side, remote.url, "add", "no_such_tool")
    assert [(each.tools, each.message) for each in missing.problems] == [(("no_such_tool",), "it does not offer them")]


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
    offer = await offered(side, remote.url, "add")
    assert [problem.kind for problem in offer.problems] == ["auth_failed"]
    assert remote.seen == []


def of(*urls: str) -> dict[str, Any]:
    """The field ``tools`` of an agent."""
    return {"tools": [{"name": "add", "mcp_server_url": url} for url in urls]}


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
