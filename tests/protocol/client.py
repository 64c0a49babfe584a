"""A client of the event streaming protocol that hides nothing: what it sent, and every envelope it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.driver import PATIENCE_S
from tests.sse import received

__all__ = ["ALL", "Client", "Envelope", "at", "ended", "kinds", "of"]

Envelope = dict[str, Any]

ALL = ["values", "updates", "checkpoints", "messages", "tools", "custom", "lifecycle", "input", "tasks"]


def of(envelopes: list[Envelope], method: str, namespace: list[str] | None = None) -> list[Any]:
    """The data of the events of one method; of one namespace only if that is given."""
    return [
        each["params"]["data"]
        for each in envelopes
        if each["method"] == method and namespace in (None, each["params"]["namespace"])
    ]


def kinds(envelopes: list[Envelope]) -> list[str]:
    """What the ``lifecycle`` of the root says, in order."""
    return [data["event"] for data in of(envelopes, "lifecycle", [])]


def at(envelope: Envelope) -> tuple[str, ...]:
    return tuple(envelope["params"]["namespace"])


def ended(envelope: Envelope) -> bool:
    """Whether it is the end of a run."""
    return (
        envelope["method"] == "lifecycle"
        and not envelope["params"]["namespace"]
        and envelope["params"]["data"]["event"] in ("completed", "failed", "interrupted")
    )


class Client:
    """Commands and events of one thread, over HTTP."""

    def __init__(self, http: httpx.AsyncClient, thread_id: str) -> None:
        self.http = http
        self.thread_id = thread_id
        self._sent = 0

    async def command(self, method: str, **params: Any) -> Any:
        """The answer to a command, whatever it is."""
        self._sent += 1
        body = {"id": self._sent, "method": method, "params": params}
        response = await self.http.post(f"/threads/{self.thread_id}/commands", json=body)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["id"] == self._sent
        return answer

    async def done(self, method: str, **params: Any) -> Any:
        """The result of a command that succeeds."""
        answer = await self.command(method, **params)
        assert answer["type"] == "success", answer
        return answer["result"]

    async def run(self, graph: str, given: Any, **params: Any) -> str:
        """Start a run; its id."""
        return str((await self.done("run.start", assistant_id=graph, input=given, **params))["run_id"])

    @asynccontextmanager
    async def events(self, channels: list[str] | None = None, **body: Any) -> AsyncIterator[AsyncIterator[Envelope]]:
        """The events of the thread; leaving the block disconnects."""
        path = f"/threads/{self.thread_id}/stream/events"
        async with self.http.stream("POST", path, json={"channels": channels or ALL, **body}) as response:
            assert response.status_code == 200, await response.aread()
            yield _envelopes(response)

    async def until(
        self, last: Callable[[Envelope], bool] = ended, channels: list[str] | None = None, **body: Any
    ) -> list[Envelope]:
        """All events up to the first that is the `last`."""
        async with self.events(channels, **body) as events:
            return await taken(events, last)


async def taken(events: AsyncIterator[Envelope], last: Callable[[Envelope], bool] = ended) -> list[Envelope]:
    """The next events, up to the first that is the `last`."""
    found: list[Envelope] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            found.append(event)
            if last(event):
                return found
    raise AssertionError(f"the stream ended after {json.dumps(found)[-2000:]}")


async def _envelopes(response: httpx.Response) -> AsyncIterator[Envelope]:
    async for event in received(response):
        if event.name != "error":
            assert event.id == str(event.data["seq"])
            assert event.name == event.data["method"]
        yield event.data
