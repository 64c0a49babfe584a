"""How much a run is slowed by clients that follow its thread by the event streaming protocol.

    python bench/subscribers.py URL [--subscribers 200] [--graph chat] [--rounds 5]

Runs a graph, alternately with nobody and with many clients on the thread, and prints the medians. The clients are a process of
their own, which only counts. The default is `chat` of `bench/app`, whose model is nothing but computation: the worst case, since
what the clients cost is then missing to the run. A graph whose model takes its time (`--graph`) shows what a user would notice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit
from uuid import uuid4

CHANNELS = ["values", "updates", "messages", "tools", "custom", "lifecycle", "input", "tasks", "checkpoints"]
DATA, END = b"data: ", b"lc||completed"


async def follow(url: str, thread_id: str, ready: asyncio.Semaphore) -> int:
    """Count the events of a stream up to the end of a run."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"channels": CHANNELS}).encode()
    head = f"POST /threads/{thread_id}/stream/events HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    ready.release()
    count, left = 0, b""
    while END not in left:
        piece = await reader.read(262_144)
        assert piece, "the stream ended"
        count += (left[1 - len(DATA) :] + piece).count(DATA)
        left = left[-len(END) :] + piece
    writer.close()
    return count


async def subscribers(url: str, thread_id: str, number: int) -> None:
    """Follow the thread `number` times; say so on standard output, and in the end how many events each has got."""
    ready = asyncio.Semaphore(0)
    streams = [asyncio.create_task(follow(url, thread_id, ready)) for _ in range(number)]
    for _ in range(number):
        await ready.acquire()
    print("ready", flush=True)
    print(json.dumps(sorted(set(await asyncio.gather(*streams)))), flush=True)


def post(url: str, body: object) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return bytes(response.read())


def timed_run(url: str, thread_id: str, graph: str, given: object) -> float:
    """Seconds from the command to the end of the run, as the server has noted it."""
    started = time.perf_counter()
    command = {"id": 1, "method": "run.start", "params": {"assistant_id": graph, "input": given}}
    run_id = json.loads(post(f"{url}/threads/{thread_id}/commands", command))["result"]["run_id"]
    with urllib.request.urlopen(f"{url}/threads/{thread_id}/runs/{run_id}/join", timeout=120) as response:
        response.read()
    return time.perf_counter() - started


def one_round(url: str, number: int, graph: str, given: object) -> tuple[float, list[int]]:
    thread_id = str(uuid4())
    if not number:
        return timed_run(url, thread_id, graph, given), []
    command = [sys.executable, __file__, url, "--follow", thread_id, "--subscribers", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline().strip() == "ready"
        seconds = timed_run(url, thread_id, graph, given)
        return seconds, json.loads(following.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--graph", default="chat")
    parser.add_argument("--input", default='{"messages": [{"role": "user", "content": "400"}]}')
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--follow", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.follow:
        asyncio.run(subscribers(given.url, given.follow, given.subscribers))
        return
    alone, watched = [], []
    for _ in range(given.rounds):
        alone.append(one_round(given.url, 0, given.graph, json.loads(given.input))[0])
        seconds, counts = one_round(given.url, given.subscribers, given.graph, json.loads(given.input))
        assert len(counts) == 1, f"not all clients got the same number of events: {counts}"
        watched.append(seconds)
    without, with_them = statistics.median(alone), statistics.median(watched)
    slower = with_them / without - 1
    print(
        f"alone {without:.2f} s, with {given.subscribers} subscribers {with_them:.2f} s: {slower:+.0%}; events {counts[0]}"
    )


if __name__ == "__main__":
    main()
