"""Traces of a server in a process of its own, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.cli.command import run
from tests.driver import eventually
from tests.observability.collector import Collector, Exported, collecting
from tests.processes import PROJECT, ServerProcess, running_server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("traced"), environ=collector.environ) as server:
        yield server


@pytest.fixture
async def sdk(server: ServerProcess, collector: Collector) -> AsyncIterator[LangGraphClient]:
    collector.receiver.calls.clear()
    async with get_client(url=server.url) as client:
        yield client


async def exported(collector: Collector, *names: str) -> list[Exported]:
    """The spans with these names, once all are there."""

    async def look() -> list[Exported] | None:
        try:
            return [collector.named(name) for name in names]
        except LookupError:
            return None

    try:
        found: list[Exported] = await eventually(look, "spans")
    except AssertionError:
        for name in names:
            collector.named(name)  # tells what there is instead
        raise
    return found


async def test_from_the_sender_through_the_request_and_the_run_to_the_nodes(
    sdk: LangGraphClient, collector: Collector
) -> None:
    thread = await sdk.threads.create()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    await sdk.runs.wait(thread["thread_id"], "echo", input={"x": "secret words"}, headers=headers)

    request, run, node = await exported(collector, "POST /threads/{thread_id}/runs/wait", "run echo", "node echo")

    assert {span.trace_id for span in (request, run, node)} == {TRACE}
    assert (request.parent_id, run.parent_id, node.parent_id) == (PARENT, request.span_id, run.span_id)
    assert request.service == "waystation"
    assert request.attributes["http.route"] == "/threads/{thread_id}/runs/wait"
    assert request.attributes["http.response.status_code"] == 200
    assert run.attributes["waystation.thread.id"] == thread["thread_id"]
    assert run.attributes["waystation.run.status"] == "success"
    assert not any(span.failed for span in (request, run, node))
    assert not any(b"secret words" in call.raw for call in collector.receiver.calls)


async def test_a_node_that_fails_and_its_run(sdk: LangGraphClient, collector: Collector) -> None:
    await sdk.runs.wait(None, "failing", input={"x": "a"}, raise_error=False)
    run, good, bad = await exported(collector, "run failing", "node good", "node bad")
    assert (run.failed, good.failed, bad.failed) == (True, False, True)
    assert (run.attributes["waystation.run.status"], bad.attributes["error.type"]) == ("error", "ValueError")
    assert not any(b"the node failed" in call.raw for call in collector.receiver.calls)


async def test_an_interrupt_is_no_failure(sdk: LangGraphClient, collector: Collector) -> None:
    thread = await sdk.threads.create()
    await sdk.runs.wait(thread["thread_id"], "hitl", input={"x": "a"})
    run, node = await exported(collector, "run hitl", "node ask")
    assert not run.failed
    assert not node.failed
    assert node.attributes["langgraph.stopped_by"] == "GraphInterrupt"


async def test_models_are_below_their_node_with_their_use_of_tokens(sdk: LangGraphClient, collector: Collector) -> None:
    message: Any = {"role": "user", "content": "hello"}
    await sdk.runs.wait(None, "nested_chat", input={"messages": [message]})

    async def look() -> list[Exported]:
        return [span for span in collector.spans() if span.attributes.get("gen_ai.operation.name") == "chat"]

    model = (await eventually(look, "the span of a model"))[0]
    await exported(collector, "run nested_chat")
    above = next(span for span in collector.spans() if span.span_id == model.parent_id)
    assert above.name.startswith("node ")


async def test_subgraphs_are_below_the_node_that_calls_them(sdk: LangGraphClient, collector: Collector) -> None:
    await sdk.runs.wait(None, "nested", input={"x": "a"})
    _, outer = await exported(collector, "run nested", "node sub")
    inner = [span for span in collector.spans() if span.parent_id == outer.span_id]
    assert inner
    assert all(span.name.startswith("node ") for span in inner)


async def test_probes_make_no_spans_and_unknown_paths_no_names(
    sdk: LangGraphClient, server: ServerProcess, collector: Collector
) -> None:
    async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
        await http.get("/ok")
        await http.get("/metrics")
        await http.get("/nothing/here?token=secret")
    (unknown,) = await exported(collector, "GET")
    assert unknown.attributes["http.response.status_code"] == 404
    assert "secret" not in str(unknown.attributes)
    assert [span.name for span in collector.spans()] == ["GET"]


async def test_what_is_left_is_exported_when_the_server_stops(tmp_path: Path) -> None:
    with collecting() as collector:
        environ = {**collector.environ, "OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_SERVICE_NAME": "mine"}
        with running_server(tmp_path, environ=environ) as server:
            async with get_client(url=server.url) as client:
                await client.runs.wait(None, "echo", input={"x": "a"})
            assert collector.spans() == []
            await asyncio.to_thread(server.stop)
        assert collector.named("run echo").service == "mine"


def test_no_collector_is_no_harm(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with running_server(tmp_path, environ=environ) as server, httpx.Client(base_url=server.url) as http:
        body = {"assistant_id": "echo", "input": {"x": "a"}}
        assert http.post("/runs/wait", json=body).json()["x"] == "a!"
        assert server.stop() == 0


def test_an_exporter_that_does_not_exist(tmp_path: Path) -> None:
    environ = {"WAYSTATION_DATA_DIR": str(tmp_path), "OTEL_TRACES_EXPORTER": "carrier-pigeon"}
    result = run("serve", "--port", "0", "--config", str(PROJECT), cwd=tmp_path, environ=environ)
    assert result.returncode == 1
    assert "no exporter of traces called 'carrier-pigeon'" in result.stderr


def test_console_and_none(tmp_path: Path) -> None:
    for name, shown in (("console", True), ("none", False)):
        with running_server(tmp_path / name, environ={"OTEL_TRACES_EXPORTER": name}) as server:
            with httpx.Client(base_url=server.url) as http:
                http.post("/runs/wait", json={"assistant_id": "echo", "input": {"x": "a"}})
            server.stop()
            assert ('"name": "run echo"' in server.log) == shown


async def test_runs_carry_their_trace_to_the_worker(sdk: LangGraphClient, collector: Collector) -> None:
    """What is stored with the run is what another process goes on with."""
    thread = await sdk.threads.create()
    run: Any = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"}, after_seconds=1)
    (request,) = await exported(collector, "POST /threads/{thread_id}/runs")
    assert json.dumps(run["kwargs"]["trace"]).count(request.span_id) == 1
    (executed,) = await exported(collector, "run echo")
    assert (executed.trace_id, executed.parent_id) == (request.trace_id, request.span_id)


async def test_the_spans_of_a_custom_app_are_below_the_request(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from fastapi import FastAPI\n"
        "app = FastAPI()\n"
        "@app.get('/mine/{name}')\n"
        "async def mine(name: str):\n"
        "    return name\n"
    )
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {}, "http": {"app": "./own.py:app"}}))
    with collecting() as collector:
        with running_server(tmp_path, config=config, environ=collector.environ) as server:
            async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
                await http.get("/mine/ada")
            await asyncio.to_thread(server.stop)
        of_path = [span for span in collector.spans() if span.attributes.get("url.path") == "/mine/ada"]
        request, inner = sorted(of_path, key=lambda span: span.parent_id != "")
        assert request.name == "GET /mine/{name}"
        assert (inner.trace_id, inner.parent_id) == (request.trace_id, request.span_id)
