"""A key that is revoked while something of its caller's is still going on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.auth.test_api_keys import by, keyed, make_key
from tests.conftest import project_config
from tests.databases import DIALECT
from tests.driver import eventually
from tests.live import LiveServer, listening
from waystation.app import create_app
from waystation.auth import key_queries, revocation
from waystation.auth.keys import KeyOwner, key_id_of, new_key
from waystation.auth.revocation import Revocations
from waystation.timestamps import now_us

PATIENCE_S = 15
SLEEPER = {"assistant_id": "sleeper", "input": {"n": 600}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with listening(create_app(project_config(tmp_path, api_keys=True, heartbeat_s=0.1))) as server:
        yield server


@pytest.fixture
async def http(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, verify=False) as client:
        yield client


def key_of(server: LiveServer) -> str:
    key = new_key()
    server.app.state.server.db.write_blocking(key_queries.create, key, KeyOwner.of("one", "ann"), now_us())
    return key.text


def revoke(server: LiveServer, key: str) -> None:
    """As another process does it: this one is told nothing."""
    assert server.app.state.server.db.write_blocking(key_queries.revoke, str(key_id_of(key)), now_us())


async def start(http: httpx.AsyncClient, key: str) -> tuple[str, str]:
    """A thread, and a run on it that does not end by itself."""
    thread = (await http.post("/threads", json={}, headers=by(key))).json()["thread_id"]
    run = (await http.post(f"/threads/{thread}/runs", json=SLEEPER, headers=by(key))).json()["run_id"]
    return thread, run


@asynccontextmanager
async def reading(http: httpx.AsyncClient, key: str, path: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream that has begun."""
    async with http.stream("GET", path, headers=by(key)) as response:
        assert response.status_code == 200
        lines = response.aiter_lines()
        await anext(lines)
        yield lines


async def _read(lines: AsyncIterator[str]) -> list[str]:
    """Those that say something."""
    return [line async for line in lines if line and not line.startswith(":")]


@pytest.mark.parametrize("path", ["/threads/{}/runs/{}/stream", "/threads/{}/stream"])
async def test_event_streams_of_the_key_end_and_no_others(
    server: LiveServer, http: httpx.AsyncClient, path: str
) -> None:
    key, other = key_of(server), key_of(server)
    thread, run = await start(http, key)
    path = path.format(thread, run)
    async with reading(http, key, path) as cut, reading(http, other, path) as untouched:
        revoke(server, key)

        last = await asyncio.wait_for(_read(cut), PATIENCE_S)

        assert last[-2] == "event: error"
        assert "401" in last[-1]
        assert await anext(untouched) is not None
    shown = (await http.get(f"/threads/{thread}/runs/{run}", headers=by(other))).json()
    assert shown["status"] == "running"
    assert (await http.get(f"/threads/{thread}", headers=by(key))).status_code == 401


async def test_answer_that_waits_for_its_result_breaks_off(server: LiveServer, http: httpx.AsyncClient) -> None:
    key, other = key_of(server), key_of(server)
    thread, run = await start(http, key)
    async with reading(http, key, f"/threads/{thread}/runs/{run}/join") as cut:
        revoke(server, key)
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(_read(cut), PATIENCE_S)
    shown = (await http.get(f"/threads/{thread}/runs/{run}", headers=by(other))).json()
    assert shown["status"] == "running"


async def test_run_that_ends_with_its_client_ends_with_its_key(server: LiveServer, http: httpx.AsyncClient) -> None:
    key, other = key_of(server), key_of(server)
    thread, run = await start(http, key)
    async with reading(http, key, f"/threads/{thread}/runs/{run}/stream?cancel_on_disconnect=true"):
        revoke(server, key)

        async def interrupted() -> bool:
            shown: Any = (await http.get(f"/threads/{thread}/runs/{run}", headers=by(other))).json()
            return bool(shown["status"] == "interrupted")

        await eventually(interrupted, "the run being cancelled")


@pytest.mark.skipif(DIALECT == "sqlite", reason="a data directory belongs to one server")
async def test_streams_end_whichever_server_they_come_from(
    server: LiveServer, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    key = key_of(server)
    thread, run = await start(http, key)
    config = project_config(tmp_path, api_keys=True, heartbeat_s=0.1)
    with listening(create_app(config)) as second:
        async with httpx.AsyncClient(base_url=second.url, timeout=PATIENCE_S, verify=False) as of_second:
            path = f"/threads/{thread}/runs/{run}/stream"
            async with reading(http, key, path) as one, reading(of_second, key, path) as other:
                revoke(second, key)
                for lines in (one, other):
                    assert "401" in (await asyncio.wait_for(_read(lines), PATIENCE_S))[-1]


async def test_nobody_looks_when_nobody_waits(tmp_path: Path) -> None:
    assert revocation.LOOK_S <= 2
    async with keyed(tmp_path) as (app, _):
        db = app.state.server.db
        keys = [str(key_id_of(await make_key(app, "one"))) for _ in range(3)]
        revocations = Revocations(db, look_s=0.01)
        waiting = [asyncio.create_task(revocations.wait(key)) for key in (*keys, keys[0])]
        await asyncio.sleep(0.05)
        await db.write(key_queries.revoke, keys[0], now_us())
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        assert waiting[1] in pending
        assert waiting[2] in pending
        for task in pending:
            task.cancel()
        await asyncio.wait(waiting)
        assert done <= {waiting[0], waiting[3]}
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "waystation-revocations"]
        async with asyncio.timeout(PATIENCE_S):
            await revocations.wait(keys[0])


async def test_a_look_that_fails_is_followed_by_another(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, _):
        db = app.state.server.db
        key_id = str(key_id_of(await make_key(app, "one")))
        revocations = Revocations(db, look_s=0.01)
        waiting = asyncio.create_task(revocations.wait(key_id))
        await db.write(lambda conn: conn.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await db.write(lambda conn: conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO api_keys"))
        await db.write(key_queries.revoke, key_id, now_us())
        async with asyncio.timeout(PATIENCE_S):
            await waiting
