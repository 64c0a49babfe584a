"""Search, page and count among many threads, by kind of filter, on SQLite and PostgreSQL. Bar: 10 ms (p50) among 100,000.

usage: threads.py [--dialect sqlite|postgresql] [--threads 100000,1000000] [--http] [--seconds 3]
Straight at the database, and with --http through a server on top of it as well.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from backends import empty_database, leave_in_good_order, running_postgres
from population import populate
from systems import serving
from waystation.auth.access import EVERYTHING
from waystation.storage.data_dir import DATABASE_FILE
from waystation.storage.database import Database
from waystation.storage.postgres import PostgresDatabase
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase
from waystation.threads import search, wire
from waystation.threads.search import Filters, Order, Page

MOST, FEWEST = 200, 5
"""Repetitions of each case, unless the time is over before."""

Case = tuple[str, Filters, Order, Page]


def main() -> None:
    leave_in_good_order()
    options = _options()
    for dialect in [options.dialect] if options.dialect else ["sqlite", "postgresql"]:
        for number in map(int, options.threads.split(",")):
            with place(dialect) as environ:
                asyncio.run(_at_database(environ, dialect, number, options.seconds))
                if options.http:
                    with serving(options.port, environ) as server:
                        asyncio.run(_over_http(server.url, dialect, number, options.seconds))


@contextmanager
def place(dialect: str) -> Iterator[Mapping[str, str]]:
    """An empty database, as the variables that lead a server to it."""
    with tempfile.TemporaryDirectory() as folder:
        if dialect == "sqlite":
            yield {"WAYSTATION_DATA_DIR": folder}
            return
        with running_postgres() as server, empty_database(server) as uri:
            yield {"WAYSTATION_DATA_DIR": folder, "DATABASE_URI": uri}


@asynccontextmanager
async def opened(environ: Mapping[str, str]) -> AsyncIterator[Database]:
    uri = environ.get("DATABASE_URI")
    db: Database = (
        PostgresDatabase(uri) if uri else SqliteDatabase(Path(environ["WAYSTATION_DATA_DIR"]) / DATABASE_FILE)
    )
    try:
        await asyncio.to_thread(upgrade, db)
        yield db
    finally:
        await db.close()


async def _at_database(environ: Mapping[str, str], dialect: str, number: int, seconds: float) -> None:
    async with opened(environ) as db:
        started = time.perf_counter()
        await populate(db, number)
        print(f"\n{dialect}, {number:,} threads, inserted in {time.perf_counter() - started:.0f} s")
        for name, filters, order, page in _cases(number):
            await timed(name, seconds, partial(_find, db, filters, order, page))
        for name, filters in _countable(number):
            await timed(name, seconds, partial(db.read, search.count, filters, EVERYTHING))


async def _find(db: Database, filters: Filters, order: Order, page: Page) -> Any:
    return await db.read(search.search, filters, order, page, wire.FIELDS, [], EVERYTHING)


async def _over_http(url: str, dialect: str, number: int, seconds: float) -> None:
    print(f"\n{dialect}, {number:,} threads, over HTTP")
    async with aiohttp.ClientSession(url) as client:
        for name, filters, order, page in _cases(number):
            body = {"limit": page.limit, "offset": page.offset, "sort_by": order.column, **_wire(filters)}
            await timed(name, seconds, partial(_post, client, "/threads/search", body))
        for name, filters in _countable(number):
            await timed(name, seconds, partial(_post, client, "/threads/count", _wire(filters)))


async def _post(client: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> None:
    async with client.post(path, json=body, raise_for_status=True) as answer:
        await answer.read()


def _wire(filters: Filters) -> dict[str, Any]:
    given = {"metadata": filters.metadata, "values": filters.values, "status": filters.status}
    return {name: value for name, value in given.items() if value is not None}


def _cases(number: int) -> list[Case]:
    newest, updated = Order(), Order("updated_at")
    page, later, deep = Page(11), Page(51, 1000), Page(51, number // 2)
    middle = number // 2
    return [
        ("everything", Filters(), newest, page),
        ("everything, offset 1,000", Filters(), newest, later),
        ("everything, from the middle", Filters(), newest, deep),
        ("1 thread", Filters({"i": middle}), newest, page),
        ("tag + 1 thread", Filters({"tag": f"t{middle % 5}", "i": middle}), newest, page),
        ("user (1/1,000)", Filters({"user": "user-7"}), newest, page),
        ("user, by updated_at", Filters({"user": "user-7"}), updated, page),
        ("graph (all), offset 1,000", Filters({"graph_id": "agent"}), newest, later),
        ("graph (all), by updated_at, offset 1,000", Filters({"graph_id": "agent"}), updated, later),
        ("tag (1/5), offset 1,000", Filters({"tag": "t3"}), newest, later),
        ("tag (1/5), by updated_at, offset 1,000", Filters({"tag": "t3"}), updated, later),
        ("tag + graph, by updated_at", Filters({"tag": "t3", "graph_id": "agent"}), updated, page),
        ("oldest 1/20", Filters({"old": True}), newest, page),
        ("oldest 1/20, by updated_at", Filters({"old": True}), updated, page),
        ("status idle", Filters(status="idle"), newest, page),
        ("status idle, by updated_at", Filters(status="idle"), updated, page),
        ("status error + tag", Filters({"tag": "t3"}, status="error"), newest, page),
        ("nested (1/50)", Filters({"nested": {"team": 3}}), newest, page),
        ("values (all)", Filters(values={"messages": [{"type": "human"}]}), newest, page),
        ("no such tag", Filters({"tag": "none"}), newest, page),
    ]


def _countable(number: int) -> list[tuple[str, Filters]]:
    """The filters of the cases. Those on values are left out: no index helps to count what matches them."""
    named: dict[str, Filters] = {}
    for name, filters, _, _ in _cases(number):
        if filters.values is None and filters not in named.values():
            named["count: " + name.split(", ")[0]] = filters
    return list(named.items())


async def timed(name: str, seconds: float, call: Callable[[], Awaitable[Any]]) -> None:
    """Run `call` again and again for so many seconds, and print how long it took, in ms."""
    await call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() < until):
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    p99 = times[int(len(times) * 0.99)]
    print(f"{name:48} p50 {statistics.median(times):9.2f}   p99 {p99:9.2f}   of {len(times)}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=("sqlite", "postgresql"), help="one instead of both")
    parser.add_argument("--threads", default="100000,1000000", help="how many, or several numbers")
    parser.add_argument("--http", action="store_true", help="through a server as well")
    parser.add_argument("--seconds", type=float, default=3, help="the longest that a case is repeated")
    parser.add_argument("--port", type=int, default=2424)
    return parser.parse_args()


if __name__ == "__main__":
    main()
