"""Many threads in a database at once, as search meets them: some metadata that all share, some that few have."""

from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, text
from uuid_utils import uuid7

from waystation.storage import tables
from waystation.storage.database import Database
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["populate"]

BATCH = 5000
STATUSES = ("idle", "idle", "idle", "idle", "idle", "idle", "idle", "busy", "interrupted", "error")


async def populate(db: Database, number: int) -> None:
    """Insert `number` threads, the newest last, one created each second until now."""
    for first in range(0, number, BATCH):
        await db.write(_insert, first, min(first + BATCH, number), number)
    await db.write(_settle)


def _insert(conn: Connection, first: int, last: int, number: int) -> None:
    """Threads of one graph and five tags, a thousand users, and a tag that only the oldest have."""
    chance = random.Random(first)
    start = now_us() - number * MICROSECONDS
    conn.execute(insert(tables.threads), [_thread(i, start, number, chance) for i in range(first, last)])


def _thread(i: int, start: int, number: int, chance: random.Random) -> dict[str, Any]:
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
    return {
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


def _settle(conn: Connection) -> None:
    """What PostgreSQL's autovacuum does within a minute of so many inserts."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT gin_clean_pending_list('ix_threads_metadata')"))
        conn.execute(text("ANALYZE threads"))
