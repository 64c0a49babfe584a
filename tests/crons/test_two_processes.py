"""Two servers with a scheduler each, on one PostgreSQL database: every slot fires once, whoever of them lives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.crons.conftest import EVERY_SECOND, runs_of
from tests.databases import DIALECT
from tests.driver import eventually
from tests.processes import ServerProcess

pytestmark = pytest.mark.skipif(DIALECT == "sqlite", reason="a data directory belongs to one server")

CRONS = 10


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    environ = {"CRON_SCHEDULER_SLEEP_TIME": "0.2", "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "0"}
    both = [ServerProcess(tmp_path, environ=environ) for _ in range(2)]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.kill()


async def test_every_slot_fires_once(servers: list[ServerProcess]) -> None:
    async with httpx.AsyncClient(base_url=servers[0].url, timeout=30) as http:
        sdk = LangGraphClient(http)
        threads = [(await sdk.threads.create())["thread_id"] for _ in range(CRONS)]
        crons: list[Any] = [
            await sdk.crons.create_for_thread(thread_id, "echo", schedule=EVERY_SECOND, input={"x": "a"})
            for thread_id in threads
        ]

        for thread_id in threads:
            await runs_of(sdk, thread_id, at_least=4)
        for cron in crons:
            await sdk.crons.delete(cron["cron_id"])

        for thread_id in threads:
            runs: Any = await sdk.runs.list(thread_id, limit=100)
            seconds = [datetime.fromisoformat(run["created_at"]).replace(microsecond=0) for run in runs]
            assert len(seconds) == len(set(seconds)), "two runs for one slot"


async def test_other_server_goes_on_when_one_is_killed(servers: list[ServerProcess]) -> None:
    first, second = servers
    async with httpx.AsyncClient(base_url=first.url, timeout=30) as http:
        sdk = LangGraphClient(http)
        thread_id = (await sdk.threads.create())["thread_id"]
        await sdk.crons.create_for_thread(thread_id, "echo", schedule=EVERY_SECOND, input={"x": "a"})
    first.kill()
    async with httpx.AsyncClient(base_url=second.url, timeout=30) as http:
        sdk = LangGraphClient(http)
        before = len(await sdk.runs.list(thread_id, limit=100))

        async def goes_on() -> bool:
            return len(await sdk.runs.list(thread_id, limit=100)) >= before + 2

        await eventually(goes_on, "the second server firing")
