"""Lists, counts and searches of many Managed Deep Agents and their threads, on SQLite and PostgreSQL. Bar: 20 ms (p50).

usage: managed.py [--dialect sqlite|postgresql] [--threads 100000] [--agents 10000] [--seconds 2]
Over HTTP, with an API key. One of ten users asks: who owns half of all threads, some thousands of them with each of a few agents.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import aiohttp
import psycopg
from sqlalchemy import Connection, insert
from uuid_utils import uuid7

from backends import leave_in_good_order
from systems import serving
from threads import opened, place, timed
from waystation.auth import key_queries
from waystation.auth.keys import KeyOwner, new_key
from waystation.auth.members import user_uuid
from waystation.deepagents.agents import queries as agents
from waystation.deepagents.identity import Principal, tenant_uuid
from waystation.deepagents.threads.queries import owner_members
from waystation.storage import tables
from waystation.storage.database import Database
from waystation.threads.owned import new_columns
from waystation.threads.queries import new_row
from waystation.timestamps import MICROSECONDS, now_us

WORKSPACE = "bench"
USERS = [f"user-{n}" for n in range(10)]
BASE = "/v1/deepagents"

BATCH = 2000
LARGE = 10
"""So many agents have most of the first user's threads."""

STATUSES = ("idle",) * 8 + ("interrupted", "error")
WORDS = ("clerk", "scribe", "reader", "critic", "planner", "tester", "porter")


def main() -> None:
    leave_in_good_order()
    options = _options()
    for dialect in [options.dialect] if options.dialect else ["sqlite", "postgresql"]:
        with place(dialect) as environ:
            key, agent_ids = asyncio.run(_fill(environ, dialect, options))
            with serving(options.port, {**environ, "WAYSTATION_AUTH": "api-key"}) as server:
                asyncio.run(_measure(server.url, key, agent_ids, options.seconds))


async def _fill(environ: Mapping[str, str], dialect: str, options: argparse.Namespace) -> tuple[str, list[str]]:
    """An API key of the first user and the ids of the agents, in the order in which they were made."""
    started = time.perf_counter()
    key = new_key()
    agent_ids = [str(uuid7()) for _ in range(options.agents)]
    async with opened(environ) as db:
        await db.write(key_queries.create, key, KeyOwner.of(WORKSPACE, USERS[0]), now_us())
        await _in_parts(db, _make_agents, agent_ids)
        places = [_place(n, agent_ids) for n in range(options.threads)]
        await _in_parts(db, _make_threads, places)
    _settle(environ)
    print(
        f"\n{dialect}, {options.threads:,} threads of {options.agents:,} agents, "
        f"inserted in {time.perf_counter() - started:.0f} s"
    )
    return key.text, agent_ids


async def _in_parts(db: Database, make: Any, things: list[Any]) -> None:
    for first in range(0, len(things), BATCH):
        await db.write(make, first, things[first : first + BATCH], len(things))


def _make_agents(conn: Connection, first: int, agent_ids: list[str], number: int) -> None:
    start = now_us() - number * MICROSECONDS
    for n, agent_id in enumerate(agent_ids, first):
        row = {
            "agent_id": agent_id,
            "workspace": WORKSPACE,
            "owner_id": user_uuid(USERS[n % 2]),
            "name": f"{WORDS[n % len(WORDS)]} {n}",
            "settings": {"permissions": {"visibility": "tenant", "tenant_access_level": "run", "identity": "personal"}},
            "metadata": {},
            "created_at": start + n * MICROSECONDS,
            "updated_at": start + n * MICROSECONDS,
        }
        agents.create(conn, row, agents.Commit.of({"AGENTS.md": f"Agent {n}."}))


def _place(n: int, agent_ids: list[str]) -> tuple[str, str]:
    """The owner of a thread, and its agent."""
    if n % 2 == 0:
        return USERS[0], agent_ids[(n // 2) % LARGE if n % 10 else n // 10 % len(agent_ids)]
    return USERS[1 + n // 2 % (len(USERS) - 1)], agent_ids[n * 7 % len(agent_ids)]


def _make_threads(conn: Connection, first: int, places: list[tuple[str, str]], number: int) -> None:
    start = now_us() - number * MICROSECONDS
    rows = [_thread(n, *found, start + n * MICROSECONDS) for n, found in enumerate(places, first)]
    conn.execute(insert(tables.threads), rows)


def _thread(n: int, user: str, agent_id: str, at: int) -> dict[str, Any]:
    chance = random.Random(n)
    principal = Principal(WORKSPACE, tenant_uuid(WORKSPACE), user_uuid(user))
    metadata = {
        **owner_members(principal, agent_id),
        "is_test_run": n % 50 == 0,
        "is_pinned": chance.random() < 0.01,
        "skip_memory_write_protection": False,
        "ticket": n,
        "tag": f"t{n % 7}",
    }
    row = new_row(str(uuid7()), metadata, None, at, WORKSPACE) | new_columns(principal.user_id, agent_id, metadata)
    message = {"type": "human", "content": f"message {n} " + "x" * 400}
    return {
        **row,
        "status": chance.choice(STATUSES),
        "unread": chance.random() < 0.1,
        "title": f"message {n}".encode(),
        "values": {"messages": [message]},
        "state_updated_at": at + chance.randrange(1000) * MICROSECONDS,
    }


def _settle(environ: Mapping[str, str]) -> None:
    """What PostgreSQL does by itself in time."""
    if uri := environ.get("DATABASE_URI"):
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


async def _measure(url: str, key: str, agent_ids: list[str], seconds: float) -> None:
    large, small = agent_ids[1], agent_ids[len(agent_ids) // 2]
    lists: list[tuple[str, dict[str, str]]] = [
        ("list: agent with few threads", {"agent_id": small}),
        ("list: all", {"agent_id": large}),
        ("list: status idle", {"agent_id": large, "status": "idle"}),
        ("list: status error", {"agent_id": large, "status": "error"}),
        ("list: status busy (none)", {"agent_id": large, "status": "busy"}),
        ("list: pinned", {"agent_id": large, "is_pinned": "true"}),
        ("list: not pinned", {"agent_id": large, "is_pinned": "false"}),
        ("list: pinned and error", {"agent_id": large, "is_pinned": "true", "status": "error"}),
        ("list: test runs", {"agent_id": agent_ids[0], "test_run": "true"}),
        ("list: requires attention", {"agent_id": large, "requires_attention": "true"}),
        ("list: pinned, requires attention", {"agent_id": large, "is_pinned": "true", "requires_attention": "true"}),
    ]
    searches: list[tuple[str, dict[str, Any]]] = [
        ("search: everything", {}),
        ("search: 1 ticket", {"metadata": {"ticket": 1000}}),
        ("search: somebody else's ticket", {"metadata": {"ticket": 1001}}),
        ("search: tag (1/7)", {"metadata": {"tag": "t3"}}),
        ("search: tag, by state_updated_at", {"metadata": {"tag": "t3"}, "sort_by": "state_updated_at"}),
        ("search: agent", {"metadata": {"assistant_id": large}}),
        ("search: agent, by updated_at", {"metadata": {"assistant_id": large}, "sort_by": "updated_at"}),
        ("search: everything, by state_updated_at", {"sort_by": "state_updated_at"}),
        ("search: status error", {"status": "error"}),
        ("search: unread", {"metadata": {"read_status": False}}),
    ]
    async with aiohttp.ClientSession(url, headers={"X-Api-Key": key}) as client:
        for name, query in lists:
            await timed(name, seconds, partial(_get, client, "threads", query))
        cursor = await _cursor_after(client, {"agent_id": large}, pages=40)
        await timed("list: page 41", seconds, partial(_get, client, "threads", {"agent_id": large, "cursor": cursor}))
        await timed("count: attention", seconds, partial(_get, client, "threads/count", {}))
        await timed("count: attention, agent", seconds, partial(_get, client, "threads/count", {"agent_id": large}))
        for name, body in searches:
            await timed(name, seconds, partial(_post, client, "threads/search", body))
        for name, body in searches[:4]:
            await timed(f"count of {name}", seconds, partial(_post, client, "threads/count", body))
        for name, query in (
            ("agents: own", {}),
            ("agents: own, by name", {"sort_by": "name"}),
            ("agents: all that I may see", {"audience": "tenant"}),
            ("agents: named 'critic'", {"name": "critic"}),
            ("agents: one name", {"name": f"{WORDS[4]} 4"}),
            ("agents: no such name", {"name": "nobody"}),
        ):
            await timed(name, seconds, partial(_get, client, "agents", query))


async def _cursor_after(client: aiohttp.ClientSession, query: Mapping[str, str], pages: int) -> str:
    cursor: str = ""
    for _ in range(pages):
        found = await _get(client, "threads", {**query, "cursor": cursor})
        cursor = found["next_cursor"] or cursor
    return cursor


async def _get(client: aiohttp.ClientSession, path: str, query: Mapping[str, str]) -> Any:
    async with client.get(f"{BASE}/{path}", params=query, raise_for_status=True) as answer:
        return await answer.json()


async def _post(client: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> Any:
    async with client.post(f"{BASE}/{path}", json=body, raise_for_status=True) as answer:
        return await answer.json()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=("sqlite", "postgresql"), help="one instead of both")
    parser.add_argument("--threads", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=2, help="the longest that a case is repeated")
    parser.add_argument("--port", type=int, default=2434)
    return parser.parse_args()


if __name__ == "__main__":
    main()
