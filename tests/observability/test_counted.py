"""What the parts of a server count while they work, as `/metrics` shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import connected, served
from tests.crons.conftest import EVERY_SECOND
from tests.driver import Driver, eventually
from tests.gate import Gate
from tests.live import LiveServer
from tests.webhooks.conftest import QUICK
from tests.webhooks.receiver import receiving

Samples = Mapping[tuple[str, str], float]


async def samples(http: httpx.AsyncClient) -> Samples:
    """The value of each sample by its name and its only label, "" without one."""
    text = (await http.get("/metrics")).text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if len(sample.labels) < 2
    }


async def becomes(http: httpx.AsyncClient, name: str, label: str, value: float) -> Samples:
    async def look() -> Samples | None:
        found = await samples(http)
        return found if found.get((name, label)) == value else None

    found: Samples = await eventually(look, f"{name}{{{label}}} being {value}")
    return found


async def test_runs_by_how_they_ended(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    for graph in ("echo", "echo", "raiser"):
        await sdk.runs.wait(thread["thread_id"], graph, input={"x": "a"}, raise_error=False)

    await becomes(http, "waystation_runs_total", "error", 1)
    found = await becomes(http, "waystation_runs_total", "success", 2)

    assert found["waystation_run_duration_count", "success"] == 2
    assert 0 < found["waystation_run_duration_sum", "success"] < 60
    assert found["waystation_run_wait_count", ""] == 3


async def test_a_run_that_had_to_wait(http: httpx.AsyncClient, sdk: LangGraphClient, gates: Callable[[], Gate]) -> None:
    gate = gates()
    thread = await sdk.threads.create()
    await sdk.runs.create(thread["thread_id"], "gated", input=gate.state)
    second = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"}, multitask_strategy="enqueue")
    await gate.reached()
    before = (await samples(http))["waystation_run_wait_sum", ""]
    await asyncio.sleep(0.2)
    gate.open()
    await sdk.runs.join(thread["thread_id"], second["run_id"])

    assert (await samples(http))["waystation_run_wait_sum", ""] > before + 0.2


async def test_event_streams_that_are_open(live_server: LiveServer, driver: Driver, gates: Callable[[], Gate]) -> None:
    gate = gates()
    thread = await driver.thread()
    async with httpx.AsyncClient(base_url=live_server.url, timeout=30, verify=False) as http:
        before = (await samples(http))["waystation_event_streams", ""]
        body = {"assistant_id": "gated", "input": gate.state}
        async with http.stream("POST", f"/threads/{thread}/runs/stream", json=body):
            await gate.reached()
            assert (await samples(http))["waystation_event_streams", ""] == before + 1
            gate.open()
        await becomes(http, "waystation_event_streams", "", before)


async def test_crons_that_fired(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    cron: Any = await sdk.crons.create("echo", schedule=EVERY_SECOND, input={"x": "a"})
    await becomes(http, "waystation_crons_total", "fired", 1)
    await sdk.crons.delete(cron["cron_id"])


async def test_attempts_to_deliver_webhooks(tmp_path: Path) -> None:
    with receiving(500, 200, 400) as receiver:
        async with (
            served(tmp_path, webhooks=QUICK, allow_private_urls=True) as app,
            connected(app) as http,
        ):
            sdk = LangGraphClient(http)
            await sdk.runs.wait(None, "echo", input={"x": "a"}, webhook=receiver.url)
            found = await becomes(http, "waystation_webhook_attempts_total", "delivered", 1)
            assert found["waystation_webhook_attempts_total", "retried"] == 1
            await sdk.runs.wait(None, "echo", input={"x": "a"}, webhook=receiver.url)
            await becomes(http, "waystation_webhook_attempts_total", "failed", 1)
