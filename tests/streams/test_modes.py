"""What each stream mode sends (spec 8.2, 8.3, 8.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.driver import Driver
from tests.gate import Gate
from tests.sse import SseEvent, names

MODES = ["values", "updates", "messages", "messages-tuple", "events", "debug", "tasks", "checkpoints", "custom"]
HELLO = {"messages": [{"role": "user", "content": "2"}]}


def of(events: list[SseEvent], name: str) -> list[Any]:
    """The data of the events called `name`."""
    return [event.data for event in events if event.name == name]


def coordinates(checkpoint: Any) -> Any:
    return {key: checkpoint[key] for key in ("thread_id", "checkpoint_ns", "checkpoint_id")}


@pytest.mark.parametrize("mode", MODES)
async def test_metadata_comes_first_and_once(driver: Driver, mode: str) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "echo", {"x": "a"}, stream_mode=mode)
    (run,) = await driver.runs(thread)
    assert events[0].name == "metadata"
    assert events[0].data == {"run_id": run["run_id"], "attempt": 1}
    assert names(events).count("metadata") == 1
    assert "end" not in names(events)


EXPECTED: list[tuple[Any, set[str]]] = [
    ("values", {"metadata", "values"}),
    ("updates", {"metadata", "updates"}),
    ("messages", {"metadata", "messages/metadata", "messages/partial"}),
    ("messages-tuple", {"metadata", "messages"}),
    ("events", {"metadata", "events"}),
    ("debug", {"metadata", "debug"}),
    ("tasks", {"metadata", "tasks"}),
    ("checkpoints", {"metadata", "checkpoints"}),
    ("custom", {"metadata"}),
    ([], {"metadata", "values"}),
    (["values", "updates"], {"metadata", "values", "updates"}),
    (["messages", "messages-tuple"], {"metadata", "messages"}),
    (["events", "values", "messages-tuple"], {"metadata", "events", "values", "messages"}),
]


@pytest.mark.parametrize(("mode", "expected"), EXPECTED)
async def test_a_mode_sends_its_events_and_no_others(driver: Driver, mode: Any, expected: set[str]) -> None:
    events = await driver.stream(await driver.thread(), "chat", HELLO, stream_mode=mode)
    assert set(names(events)) == expected


async def test_all_modes_together(driver: Driver) -> None:
    events = await driver.stream(await driver.thread(), "custom", {"x": "a"}, stream_mode=MODES)
    assert {"metadata", "values", "updates", "events", "debug", "tasks", "checkpoints", "custom"} == set(names(events))


async def test_values(driver: Driver) -> None:
    events = await driver.stream(None, "nested", {"x": "a"}, stream_mode="values")
    assert of(events, "values") == [
        {"x": "a", "log": []},
        {"x": "a!", "n": 1, "log": []},
        {"x": "a!", "n": 1, "log": ["one", "two"]},
        {"x": "a!!", "n": 2, "log": ["one", "two"]},
    ]


async def test_updates(driver: Driver) -> None:
    events = await driver.stream(None, "nested", {"x": "a"}, stream_mode="updates")
    assert of(events, "updates") == [
        {"before": {"x": "a!", "n": 1}},
        {"sub": {"x": "a!", "n": 1, "log": ["one", "two"]}},
        {"after": {"x": "a!!", "n": 2}},
    ]


async def test_custom(driver: Driver) -> None:
    events = await driver.stream(None, "custom", {"x": "a"}, stream_mode="custom")
    assert of(events, "custom") == [{"progress": 1}, {"progress": 2}]


async def test_events_of_modes_interleave_in_graph_order(driver: Driver) -> None:
    events = await driver.stream(None, "custom", {"x": "a"}, stream_mode=["custom", "values", "updates"])
    assert names(events) == ["metadata", "values", "custom", "custom", "updates", "values"]


# --- messages


async def test_messages_tuple_sends_deltas(driver: Driver) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "chat", HELLO, stream_mode="messages-tuple")
    (run,) = await driver.runs(thread)
    chunks = of(events, "messages")
    assert [(chunk["type"], chunk["content"]) for chunk, _ in chunks] == [
        ("AIMessageChunk", "w0"),
        ("AIMessageChunk", " "),
        ("AIMessageChunk", "w1"),
    ]
    assert len({chunk["id"] for chunk, _ in chunks}) == 1
    for _, metadata in chunks:
        assert metadata["graph_id"] == "chat"
        assert metadata["assistant_id"] == run["assistant_id"]
        assert metadata["run_id"] == run["run_id"]
        assert metadata["thread_id"] == thread
        assert metadata["langgraph_node"] == "talk"
        assert {"langgraph_step", "langgraph_triggers", "langgraph_path", "langgraph_checkpoint_ns"} <= set(metadata)
        assert any(key.startswith("ls_") for key in metadata)


async def test_messages_accumulate(driver: Driver) -> None:
    events = await driver.stream(None, "chat", HELLO, stream_mode="messages")
    assert names(events) == ["metadata", "messages/metadata", *["messages/partial"] * 3]
    partial = of(events, "messages/partial")
    assert [(message["type"], message["content"]) for (message,) in partial] == [
        ("ai", "w0"),
        ("ai", "w0 "),
        ("ai", "w0 w1"),
    ]
    ((message_id, about),) = of(events, "messages/metadata")[0].items()
    assert message_id == partial[0][0]["id"]
    assert about["metadata"]["langgraph_node"] == "talk"


async def test_whole_messages(driver: Driver) -> None:
    events = await driver.stream(None, "tools", HELLO, stream_mode="messages")
    assert names(events)[1:5] == ["messages/metadata", "messages/complete"] * 2
    assert [(message["type"], message["id"]) for (message,) in of(events, "messages/complete")] == [
        ("ai", "call"),
        ("tool", "found"),
    ]
    assert [next(iter(data)) for data in of(events, "messages/metadata")] == ["call", "found", "spoken"]


async def test_whole_messages_as_tuples(driver: Driver) -> None:
    events = await driver.stream(None, "tools", HELLO, stream_mode="messages-tuple")
    assert [message["type"] for message, _ in of(events, "messages")] == ["ai", "tool", *["AIMessageChunk"] * 3]


@pytest.mark.parametrize("mode", ["messages", "messages-tuple"])
async def test_messages_of_the_input_and_the_state_are_not_sent(driver: Driver, mode: str) -> None:
    thread = await driver.thread()
    await driver.stream(thread, "tools", HELLO, stream_mode=mode)
    events = await driver.stream(thread, "chat", HELLO, stream_mode=mode)
    told = str([event.data for event in events])
    assert "call-1" not in told
    assert "human" not in told


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_tokens_of_models_in_subgraphs(driver: Driver, subgraphs: bool) -> None:
    """They appear in any case; only their name depends on whether subgraphs were asked for."""
    events = await driver.stream(
        None, "nested_chat", HELLO, stream_mode=["messages-tuple", "values", "updates"], stream_subgraphs=subgraphs
    )
    tokens = [event for event in events if event.name.startswith("messages")]
    assert "".join(event.data[0]["content"] for event in tokens) == "one two"
    nested = {event.name for event in events if "|" in event.name}
    if subgraphs:
        assert {name.split("|")[0] for name in nested} == {"messages", "values", "updates"}
        assert all(event.name.startswith("messages|agent:") for event in tokens)
    else:
        assert nested == set()


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_accumulated_messages_are_never_suffixed(driver: Driver, subgraphs: bool) -> None:
    events = await driver.stream(None, "nested_chat", HELLO, stream_mode="messages", stream_subgraphs=subgraphs)
    assert names(events) == ["metadata", "messages/metadata", *["messages/partial"] * 3]


# --- debug and its parts


async def test_tasks(driver: Driver) -> None:
    events = await driver.stream(None, "echo", {"x": "a"}, stream_mode="tasks")
    start, end = of(events, "tasks")
    assert set(start) >= {"id", "name", "input", "triggers"}
    assert (start["name"], start["input"]["x"]) == ("echo", "a")
    assert set(end) == {"id", "name", "error", "result", "interrupts"}
    assert (end["id"], end["error"], end["result"], end["interrupts"]) == (start["id"], None, {"x": "a!", "n": 1}, [])


async def test_checkpoints(driver: Driver) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "echo", {"x": "a"}, stream_mode="checkpoints")
    payloads = of(events, "checkpoints")
    history = await driver.history(thread)
    assert [payload["config"]["configurable"]["checkpoint_id"] for payload in payloads] == [
        state["checkpoint"]["checkpoint_id"] for state in reversed(history)
    ]
    for payload in payloads:
        assert set(payload) == {"config", "metadata", "values", "next", "parent_config", "tasks"}
        for config in (payload["config"], payload["parent_config"]):
            assert config is None or not [key for key in config["configurable"] if key.startswith("__")]
    assert payloads[0]["parent_config"] is None
    assert payloads[1]["parent_config"]["configurable"]["checkpoint_id"] == history[-1]["checkpoint"]["checkpoint_id"]
    assert payloads[-1]["values"] == {"x": "a!", "n": 1, "log": []}
    assert payloads[-1]["next"] == []


async def test_debug(driver: Driver) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "echo", {"x": "a"}, stream_mode="debug")
    entries = of(events, "debug")
    assert all(set(entry) == {"step", "timestamp", "type", "payload"} for entry in entries)
    assert [entry["type"] for entry in entries] == ["checkpoint", "checkpoint", "task", "task_result", "checkpoint"]
    checkpoints = [entry["payload"] for entry in entries if entry["type"] == "checkpoint"]
    history = list(reversed(await driver.history(thread)))
    assert [coordinates(each["checkpoint"]) for each in checkpoints] == [
        coordinates(state["checkpoint"]) for state in history
    ]
    assert [each["parent_checkpoint"] and coordinates(each["parent_checkpoint"]) for each in checkpoints] == [
        None,
        coordinates(history[0]["checkpoint"]),
        coordinates(history[1]["checkpoint"]),
    ]


async def test_the_task_of_a_subgraph_points_to_its_checkpoints(driver: Driver) -> None:
    events = await driver.stream(await driver.thread(), "nested", {"x": "a"}, stream_mode=["debug", "checkpoints"])
    plain = [task for data in of(events, "checkpoints") for task in data["tasks"]]
    in_debug = [
        task for data in of(events, "debug") if data["type"] == "checkpoint" for task in data["payload"]["tasks"]
    ]
    assert {"sub", "before"} <= {task["name"] for task in plain}
    for task in plain:
        if task["name"] == "sub":
            assert task["state"]["configurable"]["checkpoint_ns"].startswith("sub:")
        else:
            assert task["state"] is None
    for task in in_debug:
        assert task["state"] is None
        if task["name"] == "sub":
            assert task["checkpoint"]["checkpoint_ns"].startswith("sub:")


async def test_langchain_events(driver: Driver) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "chat", HELLO, stream_mode="events")
    (run,) = await driver.runs(thread)
    entries = of(events, "events")
    for entry in entries:
        assert {"event", "name", "run_id", "tags", "metadata", "data", "parent_ids"} <= set(entry)
        assert "langsmith:hidden" not in entry["tags"]
    kinds = [entry["event"] for entry in entries]
    assert kinds[0] == "on_chain_start"
    assert kinds[-1] == "on_chain_end"
    assert kinds.count("on_chat_model_stream") >= 3
    assert entries[0]["run_id"] == run["run_id"]


async def test_a_run_in_events_mode_ends_like_any_other(driver: Driver) -> None:
    thread = await driver.thread()
    assert "__interrupt__" in await driver.wait(thread, "hitl", {"x": "a"}, stream_mode="events")
    assert (await driver.show(thread))["status"] == "interrupted"
    assert "__error__" in await driver.wait(await driver.thread(), "raiser", {"x": "value"}, stream_mode="events")


# --- interrupts and errors


async def test_an_interrupt_in_values_and_updates(driver: Driver) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "hitl", {"x": "a"}, stream_mode=["values", "updates"])
    last = of(events, "values")[-1]
    ((shown,),) = [data["__interrupt__"] for data in of(events, "updates") if "__interrupt__" in data]
    assert last["x"] == "a"
    assert last["__interrupt__"] == [shown]
    assert set(shown) == {"value", "id", "response_schema"}
    assert shown["value"] == {"question": "ok?"}
    assert shown["response_schema"] is None


async def test_parallel_interrupts_come_one_by_one(driver: Driver) -> None:
    events = await driver.stream(await driver.thread(), "two_questions", {"x": "a"}, stream_mode=["values", "updates"])
    assert len([data for data in of(events, "updates") if "__interrupt__" in data]) == 2
    assert len([data for data in of(events, "values") if "__interrupt__" in data]) == 2


@pytest.mark.parametrize("stop", [{"interrupt_before": ["gate"]}, {"interrupt_after": ["first"]}])
async def test_a_breakpoint_is_an_empty_list(driver: Driver, gate: Gate, stop: dict[str, Any]) -> None:
    thread = await driver.thread()
    events = await driver.stream(thread, "gated", gate.state, stream_mode=["updates", "values"], **stop)
    assert of(events, "updates")[-1] == {"__interrupt__": []}
    assert "__interrupt__" not in of(events, "values")[-1]


@pytest.mark.parametrize("stop", [{"interrupt_before": ["gate"]}, {}])
async def test_updates_that_were_not_asked_for_are_not_sent(driver: Driver, gate: Gate, stop: dict[str, Any]) -> None:
    gate.open()
    events = await driver.stream(await driver.thread(), "gated", gate.state, stream_mode="values", **stop)
    assert set(names(events)) == {"metadata", "values"}


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_is_the_last_event_in_any_mode(driver: Driver, mode: str) -> None:
    events = await driver.stream(None, "raiser", {"x": "value"}, stream_mode=mode)
    assert events[-1].name == "error"
    assert events[-1].data == {"error": "ValueError", "message": "bad value"}
    assert names(events).count("error") == 1


async def test_feedback_keys_change_nothing(driver: Driver) -> None:
    events = await driver.stream(None, "echo", {"x": "a"}, feedback_keys=["score"])
    assert names(events) == ["metadata", "values", "values"]


# --- subgraphs


async def test_root_events_stay_bare_and_nested_ones_are_suffixed(driver: Driver) -> None:
    modes = ["values", "updates", "tasks", "debug"]
    events = await driver.stream(await driver.thread(), "nested", {"x": "a"}, stream_mode=modes, stream_subgraphs=True)
    nested = {event.name for event in events if "|" in event.name}
    assert {name.split("|")[0] for name in nested} == set(modes)
    (namespace,) = {name.split("|", 1)[1] for name in nested}
    name, _, task_id = namespace.partition(":")
    assert name == "sub"
    assert task_id in {event.data["id"] for event in events if event.name == "tasks"}
    assert [next(iter(event.data)) for event in events if event.name.startswith("updates|")] == ["one", "two"]


async def test_deeper_graphs_have_longer_names(driver: Driver) -> None:
    events = await driver.stream(
        await driver.thread(), "deep_question", {"x": 1}, stream_mode="updates", stream_subgraphs=True
    )
    deep = [event.name for event in events if event.name.count("|") == 2]
    assert deep
    for name in deep:
        mode, outer, inner = name.split("|")
        assert (mode, outer.split(":")[0], inner.split(":")[0]) == ("updates", "sub", "subsub")


async def test_without_subgraphs_only_the_root_is_seen(driver: Driver) -> None:
    modes = [mode for mode in MODES if mode != "events"]
    events = await driver.stream(await driver.thread(), "nested", {"x": "a"}, stream_mode=modes)
    assert not [event.name for event in events if "|" in event.name]
    assert "one" not in {key for data in of(events, "updates") for key in data}
