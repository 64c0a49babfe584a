"""The id of a request: in the answer, in the log, and in what runs say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from tests.processes import ServerProcess, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("logging"), environ={"LOG_JSON": "true"}) as server:
        yield server


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, verify=False) as client:
        yield client


def lines(server: ServerProcess, event: str) -> list[Any]:
    found = [orjson.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def test_an_id_is_made_for_each_request(http: httpx.Client) -> None:
    first, second = (http.get("/ok").headers["x-request-id"] for _ in range(2))
    assert UUID(first) != UUID(second)


def test_the_id_of_a_client_is_its_own_unless_it_does_harm(http: httpx.Client) -> None:
    assert http.get("/nothing", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for harmful in ("x" * 201, "a\tb", ""):
        assert UUID(http.get("/ok", headers={"X-Request-Id": harmful}).headers["x-request-id"])


def test_what_a_run_logs_names_the_request_that_asked_for_it(http: httpx.Client, server: ServerProcess) -> None:
    thread = http.post("/threads", json={}).json()["thread_id"]
    bodies = [{"assistant_id": name, "input": {"x": "a"}} for name in ("failing", "echo", "failing")]
    for number, body in enumerate(bodies):
        http.post(f"/threads/{thread}/runs/wait", json=body, headers={"X-Request-Id": f"r-{number}"})
    found = lines(server, "run failed")
    assert [(line["request_id"], line["thread_id"]) for line in found] == [("r-0", thread), ("r-2", thread)]
    assert len({line["run_id"] for line in found}) == 2


def test_what_a_request_logs_names_it(http: httpx.Client, server: ServerProcess, tmp_path: Path) -> None:
    http.post("/threads", json={"no_such_field": 1}, headers={"X-Request-Id": "odd"})
    named = [line for line in map(orjson.loads, _json(server)) if line.get("request_id") == "odd"]
    assert any("no_such_field" in str(line) for line in named)


def _json(server: ServerProcess) -> list[str]:
    return [line for line in server.log.splitlines() if line.startswith("{")]
