"""Whether a server's memory grows with the runs it has executed.

usage: leak.py [--runs 10000] [--warm-up 2000] [--system sqlite|postgres|workers] [--workers 1] [--json FILE]
Runs of five kinds, one after the other on eight connections: awaited and streamed, without a thread and on a new one, resumable
and not, and turns on a few long threads. Every thousand runs the server rests, and its resident memory is read.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from backends import leave_in_good_order
from systems import KINDS, Server, system

AT_ONCE = 8

WARM_UP = 2000
"""Runs before the first reading: pools, the allocator's arenas and SQLite's page caches fill up."""

CACHE_MB = "1"
"""For the newest state of recently used threads. The usual 64 MB would take 200,000 of these runs to fill up, and look like a leak."""

STEP = 1000
"""Runs between two readings."""

REST_S = 3
"""Before a reading, so that nothing is in flight."""

LONG_THREADS = 8
"""So many threads take the turns of one step, 25 each; the next step has others."""

GROWS_KB = 100
"""Per 1,000 runs. A run that leaves the smallest task or dictionary behind is some 500 bytes; pages that the allocator has split
make single readings differ by some hundred kB."""

Readings = list[dict[str, int]]


def main() -> None:
    leave_in_good_order()
    options = _options()
    os.environ["WAYSTATION_CHECKPOINT_CACHE_MB"] = CACHE_MB  # the server's environment, too
    with system(options.system, workers=options.workers) as start, start(options.port) as server:
        readings = asyncio.run(_measure(server, options.warm_up, options.runs))
    slopes = {process: _slope([reading[process] for reading in readings]) for process in readings[0]}
    for process, slope in slopes.items():
        print(f"{process}: {slope:+.0f} kB per 1,000 runs: it {'grows' if slope > GROWS_KB else 'does not grow'}")
    if options.json:
        figures = {"system": options.system, "runs": options.runs, "resident_kb": readings, "slope_kb": slopes}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


async def _measure(server: Server, warm_up: int, runs: int) -> Readings:
    """Resident memory in kB by process, after the warm-up and after each thousand of `runs`."""
    readings: Readings = []
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=connector) as client:
        load = _Load(client)
        for number in range(0, runs + 1, STEP):
            await load.execute(warm_up if number == 0 else STEP)
            await asyncio.sleep(REST_S)
            readings.append(server.resident_kb())
            shown = ", ".join(f"{process}: {kb:,} kB" for process, kb in readings[-1].items())
            print(f"{number:6,} runs  {shown}", flush=True)
    return readings


class _Load:
    """Runs of all kinds in turn."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._kinds: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
            self._stateless,
            self._stateless_stream,
            self._on_thread,
            self._resumable_stream,
            self._turn,
        )
        self._long_threads: Iterator[str] = iter(())

    async def execute(self, runs: int) -> None:
        self._long_threads = itertools.cycle([await self._thread() for _ in range(LONG_THREADS)])
        kinds = itertools.islice(itertools.cycle(self._kinds), runs)

        async def one_after_another() -> None:
            for kind in kinds:
                await kind()

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def _stateless(self) -> None:
        await self._post("/runs/wait", assistant_id="echo", input={"x": "a"})

    async def _stateless_stream(self) -> None:
        await self._post("/runs/stream", stream_mode=["messages-tuple", "values"], **_chat(20))

    async def _on_thread(self) -> None:
        await self._post(f"/threads/{await self._thread()}/runs/wait", assistant_id="steps10", input={"x": "a"})

    async def _resumable_stream(self) -> None:
        path = f"/threads/{await self._thread()}/runs/stream"
        await self._post(path, stream_mode=["messages-tuple"], stream_resumable=True, **_chat(20))

    async def _turn(self) -> None:
        path = f"/threads/{next(self._long_threads)}/runs/wait"
        await self._post(path, multitask_strategy="enqueue", **_chat(5))

    async def _thread(self) -> str:
        thread: dict[str, Any] = json.loads(await self._post("/threads"))
        return str(thread["thread_id"])

    async def _post(self, path: str, **body: Any) -> bytes:
        """The whole answer. RuntimeError if the run has failed."""
        async with self._client.post(path, json=body) as answer:
            content = await answer.read()
            if answer.status >= 400 or b"event: error" in content or b'"__error__"' in content:
                raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
            return content


def _chat(tokens: int) -> dict[str, Any]:
    return {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": str(tokens)}]}}


def _slope(readings: list[int]) -> float:
    """What is added from one reading to the next: the median of the slopes between any two (Theil and Sen), which a single jump
    does not move. Of the later half: what fills up once has done so by then."""
    later = readings[len(readings) // 2 :]
    pairs = itertools.combinations(enumerate(later), 2)
    return statistics.median((b - a) / (j - i) for (i, a), (j, b) in pairs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="after the warm-up; at least 3,000")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="runs before the first reading")
    parser.add_argument("--system", choices=KINDS, default="sqlite", help="what to start")
    parser.add_argument("--workers", type=int, default=1, help="processes of the system `workers` that execute runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures in this file")
    parser.add_argument("--port", type=int, default=2424)
    return parser.parse_args()


if __name__ == "__main__":
    main()
