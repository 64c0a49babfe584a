"""A server killed while a client follows a thread by the event streaming protocol: it reads on by `since`, and misses nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.faults.kill_points import AT_NIGHT, kill_after, kill_and_restart
from tests.faults.project.graphs import TOKEN_S
from tests.faults.test_killed_streams import TEXT, TOKENS
from tests.processes import ServerProcess
from tests.protocol.client import Client, Envelope, ended, kinds, of


async def followed(client: Client) -> list[Envelope]:
    """The events of the thread to the end of its run, over however many connections."""
    found: list[Envelope] = []
    while not found or not ended(found[-1]):
        since: dict[str, Any] = {"since": found[-1]["seq"]} if found else {}
        try:
            async with client.events(**since) as events:
                async for event in events:
                    found.append(event)
                    if ended(event):
                        break
        except httpx.TransportError:
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize(
    "kill_point", [pytest.param(point, marks=() if point == 1 else pytest.mark.nightly) for point in range(AT_NIGHT)]
)
async def test_every_event_arrives_exactly_once(
    kill_point: int, server: ServerProcess, http: httpx.AsyncClient
) -> None:
    client = Client(http, str(uuid4()))
    await client.run("talking", {"messages": [{"role": "user", "content": str(TOKENS)}]})
    following = asyncio.create_task(followed(client))
    await asyncio.sleep(kill_after(kill_point, TOKENS * TOKEN_S))
    await kill_and_restart(server)
    events = await following

    assert kinds(events) == ["running", "completed"]
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert len({event["event_id"] for event in events}) == len(events)
    assert await client.until() == events
    started = [part["run_id"] for part in of(events, "messages") if part["event"] == "message-start"]
    closed = [part["run_id"] for part in of(events, "messages") if part["event"] in ("message-finish", "error")]
    assert started == closed, "each message ends, if only by being broken off"
    last = [part for part in of(events, "messages") if part["run_id"] == started[-1]]
    assert "".join(part["delta"]["text"] for part in last if "delta" in part) == TEXT
