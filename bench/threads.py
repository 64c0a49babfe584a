"""Searching 100,000 threads on SQLite: how long a page takes, by kind of filter. Bar: 10 ms (p50).

python bench/threads.py [--threads 100000] [--repeat 30]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert
from uuid_utils import uuid7

from waystation.auth.access import EVERYTHING
from waystation.storage import tables
from waystation.storage.sqlite import SqliteDatabase
from waystation.threads import search, wire
from waystation.threads.search import Filters, Order, Page
from waystation.timestamps import MICROSECONDS, now_us

BATCH = 1000
STATUSES = ("idle", "idle", "idle", "idle", "idle", "idle", "idle", "busy", "interrupted", "error")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--threads", type=int, default=100_000)
    arguments.add_argument("--repeat", type=int, default=30)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "threads.sqlite", options.threads, options.repeat))


async def measure(path: Path, number: int, repeat: int) -> None:
    db = SqliteDatabase(path)
    await db.write(tables.metadata.create_all)
    started = time.perf_counter()
    for first in range(0, number, BATCH):
        await db.write(fill, first, min(first + BATCH, number), number)
    print(f"filled {number} threads in {time.perf_counter() - started:.1f} s")
    try:
        for name, filters, order, page in cases(number):
            await timed(name, repeat, lambda f=filters, o=order, p=page: find(db, f, o, p))
        for name, filters, _, _ in cases(number):
            await timed("count " + name, repeat, lambda f=filters: db.read(search.count, f, EVERYTHING))
    finally:
        await db.close()


def fill(conn: Connection, first: int, last: int, number: int) -> None:
    """Threads of one graph and five tags, a thousand users, and a tag that only the oldest have."""
    chance = random.Random(first)
    start = now_us() - number * MICROSECONDS
    rows = []
    for i in range(first, last):
        metadata: dict[str, Any] = {
            "graph_id": "agent",
            "assistant_id": "fe096781-5601-53d2-b2f6-0d3403f7e9ca",
            "tag": f"t{i % 5}",
            "i": i,
            "user": f"user-{chance.randrange(1000)}",
            "nested": {"team": i % 50},
        }
        if i < number // 20:
            metadata["old"] = True
        at = start + i * MICROSECONDS
        rows.append(
            {
                "thread_id": str(uuid7() if i % 10 else uuid4()),
                "status": STATUSES[chance.randrange(10)],
                "metadata": metadata,
                "config": {},
                "values": {"messages": [{"type": "human", "content": f"message {i} " + "x" * 200}]},
                "interrupts": {},
                "error": None,
                "created_at": at,
                "updated_at": at + chance.randrange(number) * MICROSECONDS,
                "state_updated_at": at,
            }
        )
    conn.execute(insert(tables.threads), rows)


def cases(number: int) -> list[tuple[str, Filters, Order, Page]]:
    newest, updated = Order(), Order("updated_at")
    page, deep = Page(11), Page(51, 1000)
    middle = number // 2
    return [
        ("everything", Filters(), newest, page),
        ("everything, limit 50 offset 1000", Filters(), newest, deep),
        ("i (1 thread)", Filters({"i": middle}), newest, page),
        ("tag + i (1 thread)", Filters({"tag": f"t{middle % 5}", "i": middle}), newest, page),
        ("user (100 threads)", Filters({"user": "user-7"}), newest, page),
        ("user, by updated_at", Filters({"user": "user-7"}), updated, page),
        ("graph (all), offset 1000", Filters({"graph_id": "agent"}), newest, deep),
        ("graph (all), by updated_at, offset 1000", Filters({"graph_id": "agent"}), updated, deep),
        ("tag (1/5), offset 1000", Filters({"tag": "t3"}), newest, deep),
        ("tag (1/5), by updated_at, offset 1000", Filters({"tag": "t3"}), updated, deep),
        ("tag + graph, by updated_at", Filters({"tag": "t3", "graph_id": "agent"}), updated, page),
        ("oldest 1/20", Filters({"old": True}), newest, page),
        ("oldest 1/20, by updated_at", Filters({"old": True}), updated, page),
        ("status idle", Filters(status="idle"), newest, page),
        ("status idle, by updated_at", Filters(status="idle"), updated, page),
        ("status error + tag", Filters({"tag": "t3"}, status="error"), newest, page),
        ("nested (1/50)", Filters({"nested": {"team": 3}}), newest, page),
        ("values (1 thread near the top)", Filters(values={"messages": [{"type": "human"}]}), newest, page),
        ("no such tag", Filters({"tag": "none"}), newest, page),
    ]


async def find(db: SqliteDatabase, filters: Filters, order: Order, page: Page) -> Any:
    return await db.read(search.search, filters, order, page, wire.FIELDS, [], EVERYTHING)


async def timed(name: str, repeat: int, call: Any) -> None:
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    print(f"{name:48} p50 {statistics.median(times):8.2f} ms   max {max(times):8.2f} ms")


if __name__ == "__main__":
    main()
