"""A server killed in the middle of a stream: a client with ``Last-Event-ID`` gets every event exactly once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import httpx
from langgraph_sdk import get_client

from tests.faults.events import Event, events_of, position
from tests.faults.kill_points import EVERY_KILL_POINT, kill_after, kill_and_restart
from tests.faults.project.graphs import TOKEN_S
from tests.processes import ServerProcess

TOKENS = 60
TEXT = " ".join(f"w{number}" for number in range(TOKENS))
BODY: dict[str, Any] = {
    "assistant_id": "talking",
    "input": {"messages": [{"role": "user", "content": str(TOKENS)}]},
    "stream_mode": ["messages-tuple", "values"],
    "stream_resumable": True,
}


class Follower:
    """A client that reads a run's stream, and reads on after every loss of the connection."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.events: list[Event] = []
        self.begun = asyncio.Event()
        self.served = asyncio.Event()
        self.served.set()
        self._location = ""

    async def follow(self, thread_id: str) -> None:
        """Start a run on the thread and read its events until it is over."""
        await self._read("POST", f"/threads/{thread_id}/runs/stream", json=BODY)
        while not await self._over():
            await self.served.wait()
            last = {"Last-Event-ID": self.events[-1].id}
            await self._read("GET", self._location, headers=last)

    async def _read(self, method: str, path: str, **options: Any) -> None:
        try:
            async with self.http.stream(method, path, **options) as response:
                assert response.status_code == 200, await response.aread()
                self._location = response.headers["location"]
                async for event in events_of(response):
                    self.events.append(event)
                    self.begun.set()
        except httpx.TransportError:
            await asyncio.sleep(0.01)

    async def _over(self) -> bool:
        """Whether the run has ended. It has not because its stream has: a server that leaves closes its streams too."""
        try:
            run = (await self.http.get(self._location.removesuffix("/stream"))).json()
        except httpx.TransportError:
            return False
        return run["status"] not in ("pending", "running")


def text_of(events: list[Event]) -> str:
    return "".join(event.data[0]["content"] for event in events if event.name == "messages")


@EVERY_KILL_POINT
async def test_every_event_arrives_exactly_once(
    kill_point: int, server: ServerProcess, http: httpx.AsyncClient
) -> None:
    thread_id = (await http.post("/threads", json={})).json()["thread_id"]
    follower = Follower(http)
    following = asyncio.create_task(follower.follow(thread_id))
    await follower.begun.wait()
    await asyncio.sleep(kill_after(kill_point, TOKENS * TOKEN_S))
    follower.served.clear()
    await kill_and_restart(server)
    follower.served.set()
    await following

    positions = [position(event) for event in follower.events]
    assert positions == sorted(set(positions))
    path, everything = f"/threads/{thread_id}/runs/{follower.events[0].data['run_id']}/stream", {"Last-Event-ID": "-1"}
    async with http.stream("GET", path, headers=everything) as response:
        assert [event async for event in events_of(response)] == follower.events

    attempts = [number for number, event in enumerate(follower.events) if event.name == "metadata"]
    assert [follower.events[number].data["attempt"] for number in attempts] == list(range(1, len(attempts) + 1))
    assert text_of(follower.events[attempts[-1] :]) == TEXT
    for start, end in pairwise(attempts):
        assert TEXT.startswith(text_of(follower.events[start:end]))
    assert (await http.get(f"/threads/{thread_id}")).json()["status"] == "idle"


async def test_official_client_rides_out_a_crash(server: ServerProcess) -> None:
    async with get_client(url=server.url, api_key=None) as client:
        thread_id = (await client.threads.create())["thread_id"]
        parts = []
        restarting: asyncio.Task[None] | None = None
        stream = client.runs.stream(
            thread_id,
            "talking",
            input=BODY["input"],
            stream_mode=["messages-tuple"],
            stream_resumable=True,
        )
        async for part in stream:
            parts.append(part)
            if len(parts) == 20 and restarting is None:
                restarting = asyncio.create_task(kill_and_restart(server))
        assert restarting is not None
        await restarting
        run_id = parts[0].data["run_id"]
        replayed = [part async for part in client.runs.join_stream(thread_id, run_id, last_event_id="-1")]
        assert replayed == parts


async def test_official_client_rides_out_an_orderly_restart(server: ServerProcess) -> None:
    async with get_client(url=server.url, api_key=None) as client:
        thread_id = (await client.threads.create())["thread_id"]
        parts = []
        exit_codes = []

        def stop_and_restart() -> None:
            exit_codes.append(server.stop())
            server.start()

        restarting: asyncio.Task[None] | None = None
        stream = client.runs.stream(
            thread_id, "talking", input=BODY["input"], stream_mode=["messages-tuple"], stream_resumable=True
        )
        async for part in stream:
            parts.append(part)
            if len(parts) == 20 and restarting is None:
                restarting = asyncio.create_task(asyncio.to_thread(stop_and_restart))
        assert restarting is not None
        await restarting
        assert exit_codes == [0]
        replayed = [
            part async for part in client.runs.join_stream(thread_id, parts[0].data["run_id"], last_event_id="-1")
        ]
        assert replayed == parts
        state = await client.threads.get_state(thread_id)
        assert isinstance(state["values"], dict)
        assert state["values"]["messages"][-1]["content"] == TEXT
