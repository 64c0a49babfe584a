"""Clients that do not give up: what one API process does not answer they ask the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from typing import Any

import httpx

from tests.chaos.chronicle import Chronicle
from tests.chaos.scripts import Plan, Script
from tests.faults.events import Event, events_of

__all__ = ["Clients", "clients_of"]

AGAIN_S = 0.1
"""Pause after a request that failed."""

FINAL = ("success", "error", "timeout", "interrupted")

TIMEOUT = httpx.Timeout(30, connect=5)


class Clients:
    """All clients of a test. They go round the API processes, so that hardly ever two requests of a run meet the same one."""

    def __init__(self, apis: Iterable[httpx.AsyncClient], chronicle: Chronicle) -> None:
        self._apis = cycle(apis)
        self._chronicle = chronicle
        self.retries = 0
        """Requests that had to be made again."""

    async def play(self, script: Script) -> None:
        """Do what the script says; returns when all of its runs are over."""
        thread = {"thread_id": script.thread_id, "if_exists": "do_nothing"}
        await self.ask("POST", "/threads", json=thread)
        for plans in script.rounds:
            async with asyncio.TaskGroup() as group:
                for plan in plans:
                    accepted = asyncio.Event()
                    group.create_task(self._follow(script, plan, accepted))
                    await accepted.wait()

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer to a request that may be repeated."""
        while True:
            try:
                response = await next(self._apis).request(method, path, **options)
            except httpx.TransportError:
                await self._pause()
                continue
            if response.status_code == 200:
                return response.json()
            await self._refused(f"{method} {path}", response)

    async def replay(self, thread_id: str, run_id: str) -> list[Event]:
        """What is stored of a run's stream."""
        path = f"/threads/{thread_id}/runs/{run_id}/stream"
        async with next(self._apis).stream("GET", path, headers={"Last-Event-ID": "-1"}) as response:
            assert response.status_code == 200, await response.aread()
            return [event async for event in events_of(response)]

    # --- one run

    async def _follow(self, script: Script, plan: Plan, accepted: asyncio.Event) -> None:
        """Create the run, and stay with it until its client has what it wants."""
        try:
            if plan.way == "stream":
                await self._stream(script, plan, accepted)
            else:
                await self._await(script, plan, accepted)
        finally:
            accepted.set()
        run = await self.ask("GET", f"/threads/{script.thread_id}/runs/{plan.run_id}")
        if run["status"] not in FINAL:
            self._chronicle.blame(f"{plan.way} of run {plan.run_id} ended, and the run is {run['status']}")
            while run["status"] not in FINAL:
                await self._pause()
                run = await self.ask("GET", f"/threads/{script.thread_id}/runs/{plan.run_id}")

    async def _stream(self, script: Script, plan: Plan, accepted: asyncio.Event) -> None:
        runs = f"/threads/{script.thread_id}/runs"
        while True:
            if not plan.run_id:
                request = next(self._apis).stream("POST", f"{runs}/stream", json=plan.body)
            else:
                last = plan.events[-1].id if plan.events else "-1"
                path = f"{runs}/{plan.run_id}/stream"
                request = next(self._apis).stream("GET", path, headers={"Last-Event-ID": last})
            try:
                async with request as response:
                    if await self._accepted(response, plan, accepted):
                        async for event in events_of(response):
                            plan.events.append(event)
                        return
            except httpx.TransportError:
                await self._pause()

    async def _await(self, script: Script, plan: Plan, accepted: asyncio.Event) -> None:
        runs = f"/threads/{script.thread_id}/runs"
        while True:
            if plan.run_id:
                request = next(self._apis).stream("GET", f"{runs}/{plan.run_id}/join")
            else:
                path = f"{runs}/wait" if plan.way == "wait" else runs
                request = next(self._apis).stream("POST", path, json=plan.body)
            created_only = plan.way == "background" and not plan.run_id
            try:
                async with request as response:
                    if await self._accepted(response, plan, accepted):
                        await response.aread()
                        if not created_only:
                            plan.result = response.json()
                            return
            except httpx.TransportError:
                await self._pause()

    async def _accepted(self, response: httpx.Response, plan: Plan, accepted: asyncio.Event) -> bool:
        """Whether the request was granted; notes the run's id."""
        if response.status_code != 200:
            await response.aread()
            await self._refused(f"{response.request.method} {response.request.url.path}", response)
            return False
        if not plan.run_id:
            plan.run_id = response.headers["content-location"].split("/")[4]
            accepted.set()
        return True

    # --- what goes wrong

    async def _refused(self, what: str, response: httpx.Response) -> None:
        if response.status_code != 503:
            self._chronicle.blame(f"{what}: {response.status_code} {response.text[:300]}")
        else:
            self._chronicle.note(f"{what}: 503 {response.text[:100]}")
        await self._pause()

    async def _pause(self) -> None:
        self.retries += 1
        await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def clients_of(urls: Iterable[str], chronicle: Chronicle) -> AsyncIterator[Clients]:
    """Clients of the API processes at `urls`."""
    async with AsyncExitStack() as stack:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        # No TLS here: reading the certificates costs 0.1 s per client.
        apis = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits, verify=False)
            )
            for url in urls
        ]
        yield Clients(apis, chronicle)
