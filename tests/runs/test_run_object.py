"""What the server stores of a run, and what each party contributes to it (spec 5.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.driver import Driver
from tests.gate import Gate

FIELDS = {
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
}
KWARGS = {
    "input",
    "command",
    "config",
    "context",
    "stream_mode",
    "interrupt_before",
    "interrupt_after",
    "webhook",
    "feedback_keys",
    "temporary",
    "subgraphs",
    "resumable",
    "checkpoint_during",
    "durability",
}


async def assistant(driver: Driver, graph: str, **fields: Any) -> str:
    response = await driver.http.post("/assistants", json={"graph_id": graph, **fields})
    assert response.status_code == 200, response.text
    return str(response.json()["assistant_id"])


async def test_a_run_has_the_fields_of_the_reference(driver: Driver) -> None:
    thread = await driver.thread()
    run = await driver.start(thread, "echo", {"x": "a"})
    assert set(run) == FIELDS
    assert set(run["kwargs"]) == KWARGS
    assert UUID(run["run_id"]).version == 7
    assert run["thread_id"] == thread
    assert run["multitask_strategy"] == "enqueue"
    assert datetime.fromisoformat(run["created_at"]).tzinfo is not None
    await driver.settled(thread)
    stored = await driver.run(thread, run["run_id"])
    assert set(stored) == FIELDS
    assert stored["kwargs"] == run["kwargs"]


DEFAULTS: dict[str, Any] = {
    "command": None,
    "stream_mode": ["values"],
    "interrupt_before": None,
    "interrupt_after": None,
    "webhook": None,
    "feedback_keys": None,
    "temporary": False,
    "subgraphs": False,
    "resumable": False,
    "durability": "async",
}


async def test_defaults(driver: Driver) -> None:
    kwargs = (await driver.start(await driver.thread(), "echo", {"x": "a"}))["kwargs"]
    assert {key: kwargs[key] for key in DEFAULTS} == DEFAULTS


SHOWN: list[tuple[dict[str, Any], str, Any]] = [
    ({"stream_mode": "updates"}, "stream_mode", ["updates"]),
    ({"stream_mode": []}, "stream_mode", ["values"]),
    ({"stream_mode": ["values", "custom"]}, "stream_mode", ["values", "custom"]),
    ({"stream_mode": ["messages", "messages-tuple"]}, "stream_mode", ["messages-tuple"]),
    ({"interrupt_before": "*"}, "interrupt_before", "*"),
    ({"interrupt_after": ["echo"]}, "interrupt_after", ["echo"]),
    ({"stream_subgraphs": True}, "subgraphs", True),
    ({"stream_resumable": True}, "resumable", True),
    ({"feedback_keys": ["a"]}, "feedback_keys", ["a"]),
    ({"durability": "sync"}, "durability", "sync"),
    ({"checkpoint_during": True}, "durability", "async"),
    ({"checkpoint_during": False}, "durability", "exit"),
    ({"checkpoint_during": False, "durability": "sync"}, "durability", "sync"),
    ({"command": {"update": {"x": 1}}}, "command", {"update": {"x": 1}}),
    ({"multitask_strategy": "interrupt"}, "temporary", False),
]


@pytest.mark.parametrize(("fields", "key", "value"), SHOWN)
async def test_kwargs_show_what_was_asked(driver: Driver, fields: dict[str, Any], key: str, value: Any) -> None:
    run = await driver.start(await driver.thread(), "echo", {"x": "a"}, **fields)
    assert run["kwargs"][key] == value


@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback", "reject"])
async def test_a_run_keeps_the_strategy_it_was_created_with(driver: Driver, strategy: str) -> None:
    run = await driver.start(await driver.thread(), "echo", {"x": "a"}, multitask_strategy=strategy)
    assert run["multitask_strategy"] == strategy


async def test_a_tracer_names_the_session(driver: Driver) -> None:
    run = await driver.start(await driver.thread(), "echo", {"x": "a"}, langsmith_tracer={"project_name": "mine"})
    assert run["langsmith_session_name"] == "mine"


# --- config


async def seen(driver: Driver, thread: str | None, target: str, **fields: Any) -> Any:
    """What the graph `shown` sees of its config."""
    return (await driver.wait(thread, target, {}, **fields))["x"]


async def test_config_the_request_wins_over_the_assistant(driver: Driver) -> None:
    target = await assistant(driver, "shown", config={"tags": ["assistant"], "recursion_limit": 7})
    thread = await driver.thread()
    assert (await driver.start(thread, target, {}))["kwargs"]["config"]["recursion_limit"] == 7
    run = await driver.start(thread, target, {}, config={"tags": ["request"]})
    assert run["kwargs"]["config"]["tags"] == ["request"]
    assert run["kwargs"]["config"]["recursion_limit"] == 7


async def test_configurable_assistant_then_thread_then_request(driver: Driver) -> None:
    target = await assistant(driver, "shown", config={"configurable": {"a": "assistant", "b": "assistant"}})
    thread = await driver.thread()
    first = await seen(driver, thread, target, config={"configurable": {"b": "request", "c": "request"}})
    assert {k: first["configurable"].get(k) for k in "abc"} == {"a": "assistant", "b": "request", "c": "request"}
    other = await assistant(driver, "shown", config={"configurable": {"a": "other", "d": "other"}})
    second = await seen(driver, thread, other)
    assert {k: second["configurable"].get(k) for k in "abcd"} == {
        "a": "assistant",
        "b": "assistant",
        "c": None,
        "d": "other",
    }, "the thread keeps the configurables of its first assistant, but none of a request"


async def test_the_threads_tags_and_limit_are_not_inherited(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {}, config={"tags": ["mine"], "recursion_limit": 9})
    config = (await driver.start(thread, "echo", {}))["kwargs"]["config"]
    assert "tags" not in config
    assert "recursion_limit" not in config


async def test_server_keys_win_over_everything(driver: Driver) -> None:
    thread = await driver.thread()
    forged = {"run_id": "x", "thread_id": "x", "graph_id": "x", "assistant_id": "x"}
    run = await driver.start(thread, "shown", {}, config={"configurable": forged})
    configurable = run["kwargs"]["config"]["configurable"]
    assert {key: configurable[key] for key in forged} == {
        "run_id": run["run_id"],
        "thread_id": thread,
        "graph_id": "shown",
        "assistant_id": run["assistant_id"],
    }


RESERVED = {
    "langgraph_auth_user": {"identity": "root"},
    "langgraph_auth_user_id": "root",
    "langgraph_auth_permissions": ["all"],
    "langgraph_request_id": "forged",
    "__pregel_resuming": True,
    "__request_start_time_ms__": 1,
    "__after_seconds__": 1,
}


@pytest.mark.parametrize("place", ["configurable", "context"])
async def test_reserved_keys_are_dropped(driver: Driver, place: str) -> None:
    values = {**RESERVED, "mine": 1}
    fields = {"config": {"configurable": values}} if place == "configurable" else {"context": values}
    kwargs = (await driver.start(await driver.thread(), "shown", {}, **fields))["kwargs"]
    configurable = kwargs["config"]["configurable"]
    assert configurable["mine"] == kwargs["context"]["mine"] == 1
    assert configurable.pop("langgraph_request_id") != "forged"
    assert not {*RESERVED} & {*configurable, *kwargs["context"]}


async def test_the_request_id_is_honoured(driver: Driver) -> None:
    thread = await driver.thread()
    response = await driver.http.post(
        f"/threads/{thread}/runs/wait", json={"assistant_id": "shown", "input": {}}, headers={"X-Request-Id": "r-1"}
    )
    assert response.json()["x"]["configurable"]["langgraph_request_id"] == "r-1"


async def test_without_a_request_id_one_is_made(driver: Driver) -> None:
    first, second = [await seen(driver, None, "shown") for _ in range(2)]
    ids = {one["configurable"]["langgraph_request_id"] for one in (first, second)}
    assert len({UUID(request_id) for request_id in ids}) == 2


async def test_headers_of_a_trace_are_copied_and_no_others(driver: Driver) -> None:
    response = await driver.http.post(
        "/runs/wait",
        json={"assistant_id": "shown", "input": {}},
        headers={
            "langsmith-trace": "t-1",
            "baggage": "langsmith-metadata=%7B%22a%22%3A1%7D,langsmith-tags=x%2Cy,langsmith-project=p,other=1",
            "x-custom": "no",
            "x-api-key": "secret",
            "authorization": "Bearer secret",
        },
    )
    configurable = response.json()["x"]["configurable"]
    assert configurable["langsmith-trace"] == "t-1"
    assert configurable["langsmith-metadata"] == {"a": 1}
    assert configurable["langsmith-tags"] == ["x", "y"]
    assert configurable["langsmith-project"] == "p"
    assert not {"x-custom", "x-api-key", "authorization", "other", "baggage", "user-agent"} & set(configurable)


async def test_user_id_request_then_thread_then_assistant(driver: Driver) -> None:
    target = await assistant(driver, "shown", config={"configurable": {"user_id": "assistant"}})
    thread = await driver.thread()

    async def user(of: str, **configurable: Any) -> Any:
        run = await driver.start(thread, of, {}, config={"configurable": configurable})
        await driver.settled(thread)
        return run["kwargs"]["config"]["configurable"]["user_id"]

    assert await user("shown") is None
    assert await user("shown", user_id="request") == "request"
    assert await user(target) == "assistant"
    assert await user("shown") == "assistant", "the thread has kept it"
    assert await user(target, user_id="request") == "request"


# --- context


async def test_context_the_request_wins_over_the_assistant(driver: Driver) -> None:
    target = await assistant(driver, "shown", context={"a": "assistant", "b": "assistant"})
    run = await driver.start(await driver.thread(), target, {}, context={"b": "request"})
    assert run["kwargs"]["context"] == {"a": "assistant", "b": "request"}


async def test_context_and_configurable_stand_in_for_each_other(driver: Driver) -> None:
    thread = await driver.thread()
    with_context = (await driver.start(thread, "shown", {}, context={"a": 1}))["kwargs"]
    assert with_context["config"]["configurable"]["a"] == 1
    with_configurable = (await driver.start(thread, "shown", {}, config={"configurable": {"a": 1}}))["kwargs"]
    assert with_configurable["context"] == {"a": 1}


async def test_context_the_graph_does_not_declare_is_dropped(driver: Driver) -> None:
    result = await driver.wait(None, "contextual", {}, context={"tone": "dry", "volume": 11})
    assert result["x"] == {"tone": "dry"}


# --- metadata


async def test_metadata_assistant_then_thread_then_config_then_request(driver: Driver) -> None:
    target = await assistant(driver, "shown", metadata=dict.fromkeys("abcd", "assistant"))
    thread = await driver.thread(metadata=dict.fromkeys("bcd", "thread"))
    run = await driver.start(
        thread, target, {}, config={"metadata": dict.fromkeys("cd", "config")}, metadata={"d": "request"}
    )
    metadata = run["metadata"]
    assert {key: metadata[key] for key in "abcd"} == {"a": "assistant", "b": "thread", "c": "config", "d": "request"}
    assert metadata["assistant_id"] == target
    assert metadata["graph_id"] == "shown"
    assert run["kwargs"]["config"]["metadata"] == metadata


async def test_the_graph_and_its_checkpoints_see_the_metadata(driver: Driver) -> None:
    thread = await driver.thread()
    metadata = (await seen(driver, thread, "shown", metadata={"mine": 1}))["metadata"]
    (run,) = await driver.runs(thread)
    assert metadata["mine"] == 1
    assert metadata["run_id"] == run["run_id"]
    assert metadata["thread_id"] == thread
    states = await driver.history(thread)
    assert states
    assert all(state["metadata"]["run_id"] == run["run_id"] for state in states)
    assert all(state["metadata"]["graph_id"] == "shown" for state in states)


@pytest.mark.parametrize("key", ["thread_id", "assistant_id", "run_id", "cron_id"])
async def test_reserved_metadata_is_dropped(driver: Driver, key: str) -> None:
    run = await driver.start(
        await driver.thread(), "echo", {}, metadata={key: "forged"}, config={"metadata": {key: "forged"}}
    )
    assert run["metadata"].get(key) != "forged"


@pytest.mark.parametrize("busy", [False, True], ids=["on an idle thread", "queued on a busy thread"])
async def test_a_run_carries_its_own_graph(driver: Driver, gate: Gate, busy: bool) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {})
    if busy:
        await driver.start(thread, "gated", gate.state)
    run = await driver.start(thread, "shown", {})
    assert run["metadata"]["graph_id"] == "shown"


async def test_a_run_that_creates_its_thread_carries_its_graph(driver: Driver) -> None:
    thread = driver.new_id()
    run = await driver.start(thread, "shown", {}, if_not_exists="create", metadata={"graph_id": "forged"})
    assert run["metadata"]["graph_id"] == "shown"


# --- what happens to the thread


async def test_a_created_thread_gets_the_runs_metadata(driver: Driver) -> None:
    thread = driver.new_id()
    await driver.start(
        thread,
        "echo",
        {},
        if_not_exists="create",
        metadata={"a": "request", "b": "request"},
        config={"metadata": {"b": "config", "c": "config"}},
    )
    metadata = (await driver.show(thread))["metadata"]
    assert metadata["graph_id"] == "echo"
    assert {key: metadata[key] for key in "abc"} == {"a": "request", "b": "request", "c": "config"}


async def test_an_existing_thread_learns_graph_and_assistant_only(driver: Driver) -> None:
    thread = await driver.thread(metadata={"mine": 1})
    run = await driver.start(thread, "echo", {}, metadata={"a": 1}, config={"metadata": {"b": 1}})
    assert (await driver.show(thread))["metadata"] == {
        "mine": 1,
        "graph_id": "echo",
        "assistant_id": run["assistant_id"],
    }


async def test_an_idle_threads_config_is_merged_without_the_requests_configurable(driver: Driver) -> None:
    target = await assistant(driver, "echo", config={"tags": ["assistant"], "configurable": {"a": 1}})
    thread = await driver.thread()
    await driver.wait(thread, target, {}, config={"recursion_limit": 9, "configurable": {"b": 2}})
    config = (await driver.show(thread))["config"]
    assert config["recursion_limit"] == 9
    assert config["tags"] == ["assistant"]
    assert config["configurable"] == {"a": 1}


async def test_a_busy_thread_is_left_alone(driver: Driver, gate: Gate) -> None:
    thread = await driver.thread()
    await driver.start(thread, "gated", gate.state)
    before = await driver.show(thread)
    await driver.start(thread, "echo", {}, metadata={"a": 1}, config={"recursion_limit": 9})
    after = await driver.show(thread)
    assert (after["metadata"], after["config"], after["status"]) == (before["metadata"], before["config"], "busy")


# --- lists


async def test_runs_are_listed_newest_first(driver: Driver) -> None:
    thread = await driver.thread()
    made = [(await driver.start(thread, "echo", {}))["run_id"] for _ in range(3)]
    listed = (await driver.http.get(f"/threads/{thread}/runs")).json()
    assert [run["run_id"] for run in listed] == made[::-1]


PAGES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [2, 1, 0]),
    ({"limit": 2}, [2, 1]),
    ({"limit": 2, "offset": 1}, [1, 0]),
    ({"offset": 3}, []),
    ({"limit": 0}, []),
    ({"status": "success"}, [2, 1, 0]),
    ({"status": "error"}, []),
]


async def test_lists_are_paged_and_filtered(driver: Driver) -> None:
    thread = await driver.thread()
    made = [(await driver.start(thread, "echo", {}))["run_id"] for _ in range(3)]
    await driver.settled(thread)
    for params, expected in PAGES:
        response = await driver.http.get(f"/threads/{thread}/runs", params=params)
        assert [made.index(run["run_id"]) for run in response.json()] == expected, params
        assert "x-pagination-total" not in response.headers


async def test_a_list_shows_the_selected_fields(driver: Driver) -> None:
    thread = await driver.thread()
    await driver.wait(thread, "echo", {})
    response = await driver.http.get(f"/threads/{thread}/runs?select=status&select=run_id")
    assert [set(run) for run in response.json()] == [{"status", "run_id"}]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": "x"}, 400),
        ({"offset": "x"}, 422),
        ({"status": "done"}, 422),
        ({"select": "secret"}, 422),
    ],
)
async def test_bad_list_parameters_are_refused(driver: Driver, params: dict[str, str], status: int) -> None:
    thread = await driver.thread()
    assert (await driver.http.get(f"/threads/{thread}/runs", params=params)).status_code == status


async def test_reading_what_is_not_there(driver: Driver) -> None:
    mine, other = await driver.thread(), await driver.thread()
    run = (await driver.start(mine, "echo", {}))["run_id"]
    for path, status in (
        (f"/threads/{driver.new_id()}/runs", 404),
        ("/threads/mine/runs", 422),
        (f"/threads/{mine}/runs/{driver.new_id()}", 404),
        (f"/threads/{other}/runs/{run}", 404),
        (f"/threads/{mine}/runs/mine", 422),
        (f"/runs/{run}", 404),
    ):
        assert (await driver.http.get(path)).status_code == status, path
