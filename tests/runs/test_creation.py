"""Creating runs: what the request may say, and what is refused (spec 5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate

ROUTES = ("/threads/{thread}/runs", "/threads/{thread}/runs/wait", "/threads/{thread}/runs/stream")
STATELESS_ROUTES = ("/runs", "/runs/wait", "/runs/stream")
UNKNOWN = "00000000-0000-4000-8000-000000000000"

REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("no assistant", {"assistant_id": None}, 422),
    ("an assistant that is no string", {"assistant_id": 3}, 422),
    ("neither a UUID nor a graph", {"assistant_id": "no-such-graph"}, 422),
    ("an unknown assistant", {"assistant_id": UNKNOWN}, 404),
    ("metadata that is no object", {"metadata": [1]}, 422),
    ("config that is no object", {"config": "x"}, 422),
    ("tags that are no list", {"config": {"tags": "a"}}, 422),
    ("tags that are no strings", {"config": {"tags": [1]}}, 422),
    ("a recursion limit that is no integer", {"config": {"recursion_limit": "5"}}, 422),
    ("configurable that is no object", {"config": {"configurable": 1}}, 422),
    ("context that is no object", {"context": "x"}, 422),
    ("configurable and context", {"config": {"configurable": {"a": 1}}, "context": {"b": 2}}, 400),
    ("a NUL in a config key", {"config": {"configurable": {"a\0b": 1}}}, 422),
    ("a NUL in a context key", {"context": {"a\0b": 1}}, 422),
    ("a stream mode of the other protocol", {"stream_mode": "tools"}, 422),
    ("a stream mode among good ones", {"stream_mode": ["values", "lifecycle"]}, 422),
    ("a stream mode that is no string", {"stream_mode": [1]}, 422),
    ("an unknown durability", {"durability": "never"}, 422),
    ("checkpoint_during that is no flag", {"checkpoint_during": "yes"}, 422),
    ("after_seconds that is no number", {"after_seconds": "soon"}, 422),
    ("after_seconds in the past", {"after_seconds": -1}, 422),
    ("an unknown on_disconnect", {"on_disconnect": "explode"}, 422),
    ("interrupt_before that is a node's name", {"interrupt_before": "echo"}, 422),
    ("interrupt_after that is a number", {"interrupt_after": 1}, 422),
    ("feedback keys that are no list", {"feedback_keys": "score"}, 422),
    ("stream_subgraphs that is no flag", {"stream_subgraphs": "true"}, 422),
    ("stream_resumable that is no flag", {"stream_resumable": 1}, 422),
    ("a webhook to this machine", {"webhook": "http://localhost:8000/hook"}, 422),
    ("an empty webhook", {"webhook": ""}, 422),
    ("a tracer that is no object", {"langsmith_tracer": "project"}, 422),
    ("a checkpoint that is no object", {"checkpoint": "x"}, 422),
    ("a checkpoint id that is no UUID", {"checkpoint_id": "x"}, 422),
    ("a checkpoint with an id that is no UUID", {"checkpoint": {"checkpoint_id": "x"}}, 422),
    ("a configurable checkpoint id that is no UUID", {"config": {"configurable": {"checkpoint_id": "x"}}}, 422),
    ("a configurable checkpoint id that is a number", {"config": {"configurable": {"checkpoint_id": 7}}}, 422),
    ("a command that is no object", {"command": "resume"}, 422),
    ("a goto that is a number", {"command": {"goto": 1}}, 422),
    ("a goto that mixes names and nodes", {"command": {"goto": ["a", {"node": "b", "input": {}}]}}, 422),
    ("a goto without an input", {"command": {"goto": {"node": "b"}}}, 422),
    ("an update that is a string", {"command": {"update": "x"}}, 422),
]
REFUSED_ON_THREADS: list[tuple[str, dict[str, Any], int]] = [
    ("an unknown multitask strategy", {"multitask_strategy": "panic"}, 422),
    ("an unknown if_not_exists", {"if_not_exists": "perhaps"}, 422),
]
REFUSED_WITHOUT_THREAD: list[tuple[str, dict[str, Any], int]] = [
    ("an unknown on_completion", {"on_completion": "frame"}, 422),
    ("a resume", {"command": {"resume": "yes"}}, 400),
]


def _cases(*tables: list[tuple[str, dict[str, Any], int]]) -> list[Any]:
    return [pytest.param(fields, status, id=name) for table in tables for name, fields, status in table]


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    return {"assistant_id": "echo", "input": {"x": "a"}, **fields}


@pytest.mark.parametrize(("fields", "status"), _cases(REFUSED, REFUSED_ON_THREADS))
async def test_every_threaded_route_refuses(driver: Driver, fields: dict[str, Any], status: int) -> None:
    thread = await driver.thread()
    for route in ROUTES:
        response = await driver.http.post(route.format(thread=thread), json=_body(fields))
        assert response.status_code == status, (route, response.text)
        assert isinstance(response.json()["detail"], str)
    assert await driver.runs(thread) == []
    assert (await driver.show(thread))["status"] == "idle"


@pytest.mark.parametrize(("fields", "status"), _cases(REFUSED, REFUSED_WITHOUT_THREAD))
async def test_every_stateless_route_refuses(driver: Driver, fields: dict[str, Any], status: int) -> None:
    for route in STATELESS_ROUTES:
        response = await driver.http.post(route, json=_body(fields))
        assert response.status_code == status, (route, response.text)
    response = await driver.http.post("/runs/batch", json=[_body({}), _body(fields)])
    assert response.status_code == status


@pytest.mark.parametrize("content", [b"", b"   ", b"{", b"[]", b'"x"', b"null", b"\xff"])
@pytest.mark.parametrize("route", [*ROUTES, *STATELESS_ROUTES])
async def test_a_body_that_is_no_object_is_refused(driver: Driver, route: str, content: bytes) -> None:
    thread = await driver.thread()
    assert (await driver.http.post(route.format(thread=thread), content=content)).status_code == 422


@pytest.mark.parametrize("route", ROUTES)
async def test_a_thread_id_that_is_no_uuid_is_refused(driver: Driver, route: str) -> None:
    response = await driver.http.post(route.format(thread="mine"), json=_body({"if_not_exists": "create"}))
    assert response.status_code == 422


@pytest.mark.parametrize("route", ROUTES)
async def test_a_missing_thread_and_a_missing_assistant_look_the_same(driver: Driver, route: str) -> None:
    thread = await driver.thread()
    no_thread = await driver.http.post(route.format(thread=UNKNOWN), json=_body({}))
    no_assistant = await driver.http.post(route.format(thread=thread), json=_body({"assistant_id": UNKNOWN}))
    assert no_thread.status_code == no_assistant.status_code == 404
    assert no_thread.json() == no_assistant.json()


@pytest.mark.parametrize("route", ROUTES)
async def test_a_missing_thread_is_created_on_request(driver: Driver, route: str) -> None:
    thread = driver.new_id()
    response = await driver.http.post(route.format(thread=thread), json=_body({"if_not_exists": "create"}))
    assert response.status_code == 200
    assert (await driver.settled(thread))["values"]["x"] == "a!"


async def test_if_not_exists_does_not_touch_a_thread_that_exists(driver: Driver) -> None:
    thread = await driver.thread(metadata={"mine": 1})
    await driver.wait(thread, "echo", {"x": "a"}, if_not_exists="create", metadata={"other": 2})
    assert (await driver.show(thread))["metadata"]["mine"] == 1


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("an upper-case thread id", {}),
    ("unknown fields", {"no_such_field": {"a": 1}}),
    ("nulls for optional fields", dict.fromkeys(("config", "context", "metadata", "command", "stream_mode"))),
    ("an empty stream mode", {"stream_mode": []}),
    ("one stream mode", {"stream_mode": "updates"}),
    ("feedback keys without LangSmith", {"feedback_keys": ["score"]}),
    ("a tracer without LangSmith", {"langsmith_tracer": {"project_name": "p", "example_id": "e"}}),
    ("no time to wait", {"after_seconds": 0}),
    ("context alone", {"context": {"a": 1}}),
    ("an empty configurable with context", {"config": {"configurable": {}}, "context": {"a": 1}}),
    ("breakpoints that no node has", {"interrupt_before": ["nobody"], "interrupt_after": []}),
    ("extra config keys", {"config": {"run_name": "named", "max_concurrency": 3}}),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in ACCEPTED])
async def test_a_run_is_created_with(driver: Driver, fields: dict[str, Any]) -> None:
    thread = await driver.thread()
    response = await driver.http.post(f"/threads/{thread.upper()}/runs/wait", json=_body(fields))
    assert response.status_code == 200
    assert response.json()["x"] == "a!"


@pytest.mark.parametrize("given", [{"x": "a", "n": 1}, {}], ids=["an object", "an empty object"])
async def test_any_object_is_an_input(driver: Driver, given: dict[str, Any]) -> None:
    assert (await driver.wait(await driver.thread(), "echo", given))["n"] == given.get("n", 0) + 1


@pytest.mark.parametrize("given", ["text", 3, True, [1]], ids=["text", "number", "flag", "array"])
async def test_an_input_the_graph_cannot_take_fails_the_run_not_the_request(driver: Driver, given: Any) -> None:
    thread = await driver.thread()
    assert "__error__" in await driver.wait(thread, "echo", given)
    assert await driver.statuses(thread) == ["error"]


LOCATIONS = [
    ("/threads/{t}/runs", "/threads/{t}/runs/{r}", None),
    ("/threads/{t}/runs/stream", "/threads/{t}/runs/{r}", "/threads/{t}/runs/{r}/stream"),
    ("/threads/{t}/runs/wait", "/threads/{t}/runs/{r}", "/threads/{t}/runs/{r}/join"),
    ("/runs", "/runs/{r}", None),
    ("/runs/stream", "/runs/{r}", "/runs/{r}/stream"),
    ("/runs/wait", "/threads/{t}/runs/{r}", "/threads/{t}/runs/{r}/join"),
]


@pytest.mark.parametrize(("route", "content_location", "location"), LOCATIONS)
async def test_headers_say_where_the_run_is(
    driver: Driver, route: str, content_location: str, location: str | None
) -> None:
    thread = await driver.thread()
    body = _body({} if "{t}" in route else {"on_completion": "keep"})
    response = await driver.http.post(route.format(t=thread), json=body)
    parts = response.headers["content-location"].split("/")
    run = parts[-1]
    of_thread = parts[2] if parts[1] == "threads" else ""
    if "{t}" in route:
        assert of_thread == thread
    assert response.headers["content-location"] == content_location.format(t=of_thread, r=run)
    assert response.headers.get("location") == (location.format(t=of_thread, r=run) if location else None)
    if of_thread:
        assert (await driver.run(of_thread, run))["run_id"] == run


async def test_a_batch_has_no_location(driver: Driver) -> None:
    response = await driver.http.post("/runs/batch", json=[_body({})])
    assert "content-location" not in response.headers
    assert "location" not in response.headers


async def test_a_batch_creates_all_its_runs(driver: Driver) -> None:
    bodies = [_body({"on_completion": "keep", "metadata": {"index": index}}) for index in range(5)]
    response = await driver.http.post("/runs/batch", json=bodies)
    assert response.status_code == 200
    runs = response.json()
    assert [run["metadata"]["index"] for run in runs] == list(range(5))
    assert len({run["thread_id"] for run in runs}) == 5
    for run in runs:
        assert (await driver.settled(run["thread_id"]))["values"]["x"] == "a!"


@pytest.mark.parametrize(
    ("bad", "status"), [({"assistant_id": UNKNOWN}, 404), ({"assistant_id": "nope"}, 422), ({"durability": "x"}, 422)]
)
async def test_a_batch_with_one_bad_run_creates_none(driver: Driver, bad: dict[str, Any], status: int) -> None:
    mark = driver.new_id()
    bodies = [_body({"on_completion": "keep", "metadata": {"mark": mark}}), _body(bad)]
    assert (await driver.http.post("/runs/batch", json=bodies)).status_code == status
    threads = (await driver.http.post("/threads/search", json={"metadata": {"mark": mark}})).json()
    assert threads == []


@pytest.mark.parametrize("body", [[], {}, "x", None, [{}], [None]])
async def test_a_batch_that_is_no_list_of_runs_is_refused(driver: Driver, body: Any) -> None:
    assert (await driver.http.post("/runs/batch", json=body)).status_code == 422


async def test_a_new_run_is_pending_and_its_thread_busy(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    assert run["status"] == "pending"
    assert (await driver.show(thread))["status"] == "busy"
    await gate.reached()
    assert (await driver.run(thread, run["run_id"]))["status"] == "running"
    gate.open()
    assert (await driver.settled(thread))["status"] == "idle"
    assert (await driver.run(thread, run["run_id"]))["status"] == "success"
