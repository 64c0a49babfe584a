"""The Python SDK's thread streams (event streaming protocol), over server-sent events and over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import uuid4

import pytest
from langgraph_sdk import get_client

Transport = Literal["sse", "websocket"]

WITHIN_S = 20


@pytest.fixture
async def sdk(url: str) -> AsyncIterator[Any]:
    async with get_client(url=url, api_key=None) as client:
        yield client


@pytest.fixture(params=["sse", "websocket"])
def transport(request: pytest.FixtureRequest) -> Transport:
    chosen: Transport = request.param
    return chosen


def asking(count: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": str(count)}]}


async def test_a_run_and_its_output(sdk: Any, transport: Transport) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with sdk.threads.stream(str(uuid4()), assistant_id="chat", transport=transport) as thread:
            assert (await thread.run.start(input=asking(3)))["run_id"]
            assert (await thread.output)["messages"][-1]["content"] == "w0 w1 w2"


async def test_messages_are_read_as_they_are_written(sdk: Any, transport: Transport) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with sdk.threads.stream(str(uuid4()), assistant_id="slow_chat", transport=transport) as thread:
            await thread.run.start(input=asking(5))
            messages = [message async for message in thread.messages]
            assert [await message.text for message in messages] == ["w0 w1 w2 w3 w4"]


async def test_an_interrupt_is_answered(sdk: Any, transport: Transport) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with sdk.threads.stream(str(uuid4()), assistant_id="hitl", transport=transport) as thread:
            await thread.run.start(input={"x": "a"})
            # The client ends this as soon as it knows of the interrupt, which it hears of on another stream.
            assert {values["x"] async for values in thread.values if "x" in values} <= {"a"}
            assert thread.interrupted
            assert len(thread.interrupts) == 1
            await thread.run.respond("yes")
            assert (await thread.output)["x"] == "yes!"


async def test_subgraphs_and_tools(sdk: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with sdk.threads.stream(str(uuid4()), assistant_id="nested", transport="sse") as thread:
            await thread.run.start(input={"x": "a"})
            assert [subgraph.graph_name async for subgraph in thread.subgraphs] == ["sub"]
        async with sdk.threads.stream(str(uuid4()), assistant_id="agent", transport="sse") as thread:
            await thread.run.start(input=asking(1))
            good, bad = [call async for call in thread.tool_calls]
            assert (good.name, good.input) == ("look", {"what": "ok"})
            assert (await good.output)["content"] == "found ok"
            with pytest.raises(RuntimeError, match="no luck"):
                await bad.output


async def test_a_failure_is_raised(sdk: Any, transport: Transport) -> None:
    async with asyncio.timeout(WITHIN_S):
        async with sdk.threads.stream(str(uuid4()), assistant_id="failing", transport=transport) as thread:
            await thread.run.start(input={"x": "a"})
            with pytest.raises(Exception, match="the node failed"):
                await thread.output
