"""Threads and runs over HTTP, in the words of the tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.sse import SseEvent, parse, received

__all__ = ["Driver", "eventually"]

PATIENCE_S = 15
"""How long to wait for something that must happen; only a failing test waits that long."""


async def eventually(look: Callable[[], Awaitable[Any]], what: str = "it") -> Any:
    """The first true answer of `look`. Fails when there is none in time."""
    until = time.monotonic() + PATIENCE_S
    while not (found := await look()):
        assert time.monotonic() < until, f"{what} did not happen"
        await asyncio.sleep(0.01)
    return found


class Driver:
    """A client of the Agent Server API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    # --- threads

    async def thread(self, **body: Any) -> str:
        """A new thread's id."""
        response = await self.http.post("/threads", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["thread_id"])

    async def show(self, thread_id: str) -> Any:
        response = await self.http.get(f"/threads/{thread_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def settled(self, thread_id: str) -> Any:
        """The thread, once no run is in flight on it."""

        async def look() -> Any:
            thread = await self.show(thread_id)
            return thread if thread["status"] != "busy" else None

        return await eventually(look, f"thread {thread_id} settling")

    async def state(self, thread_id: str) -> Any:
        response = await self.http.get(f"/threads/{thread_id}/state")
        assert response.status_code == 200, response.text
        return response.json()

    async def history(self, thread_id: str) -> list[Any]:
        """All of the thread's states, newest first."""
        response = await self.http.post(f"/threads/{thread_id}/history", json={"limit": 1000})
        assert response.status_code == 200, response.text
        states: list[Any] = response.json()
        return states

    # --- runs

    async def start(self, thread_id: str, graph: str, given: Any = None, **fields: Any) -> Any:
        """Create a run in the background; the run object."""
        response = await self.http.post(
            f"/threads/{thread_id}/runs", json={"assistant_id": graph, "input": given, **fields}
        )
        assert response.status_code == 200, response.text
        return response.json()

    async def wait(self, thread_id: str | None, graph: str, given: Any = None, **fields: Any) -> Any:
        """Run and wait for the result, on a thread of its own if `thread_id` is None."""
        path = f"/threads/{thread_id}/runs/wait" if thread_id else "/runs/wait"
        response = await self.http.post(path, json={"assistant_id": graph, "input": given, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    async def join(self, thread_id: str, run_id: str) -> Any:
        response = await self.http.get(f"/threads/{thread_id}/runs/{run_id}/join")
        assert response.status_code == 200, response.text
        return response.json()

    async def run(self, thread_id: str, run_id: str) -> Any:
        response = await self.http.get(f"/threads/{thread_id}/runs/{run_id}")
        assert response.status_code == 200, response.text
        return response.json()

    async def runs(self, thread_id: str) -> list[Any]:
        """The thread's runs, oldest first."""
        response = await self.http.get(f"/threads/{thread_id}/runs", params={"limit": 1000})
        assert response.status_code == 200, response.text
        return list(reversed(response.json()))

    async def statuses(self, thread_id: str) -> list[str]:
        """The statuses of the thread's runs, oldest first."""
        return [run["status"] for run in await self.runs(thread_id)]

    async def reaches(self, thread_id: str, run_id: str, status: str) -> Any:
        """The run, once it has `status`."""

        async def look() -> Any:
            run = await self.run(thread_id, run_id)
            return run if run["status"] == status else None

        return await eventually(look, f"run {run_id} becoming {status}")

    async def cancel(self, thread_id: str, run_id: str, **parameters: Any) -> httpx.Response:
        return await self.http.post(f"/threads/{thread_id}/runs/{run_id}/cancel", params=parameters)

    # --- streams

    async def stream(self, thread_id: str | None, graph: str, given: Any = None, **fields: Any) -> list[SseEvent]:
        """All events of a new run."""
        path = f"/threads/{thread_id}/runs/stream" if thread_id else "/runs/stream"
        response = await self.http.post(path, json={"assistant_id": graph, "input": given, **fields})
        assert response.status_code == 200, response.text
        return parse(response.content)

    async def rejoin(
        self, thread_id: str, run_id: str, last_event_id: str | None = None, params: Any = None
    ) -> list[SseEvent]:
        """All events that joining a run gives, to its end."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
        response = await self.http.get(f"/threads/{thread_id}/runs/{run_id}/stream", headers=headers, params=params)
        assert response.status_code == 200, response.text
        return parse(response.content)

    @asynccontextmanager
    async def streaming(self, method: str, path: str, **request: Any) -> AsyncIterator[AsyncIterator[SseEvent]]:
        """The events of a stream while it lasts; leaving the block disconnects."""
        async with self.http.stream(method, path, **request) as response:
            assert response.status_code == 200, await response.aread()
            yield received(response)

    @staticmethod
    def new_id() -> str:
        return str(uuid4())
