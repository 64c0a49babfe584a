"""What a front end sees of a conversation, and what becomes of what it sends."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from ag_ui.core import AssistantMessage, Context, Message, Tool, ToolMessage, UserMessage
from ag_ui.core.types import DataSource, ImagePart, TextPart
from pydantic import TypeAdapter

from tests.agui.front_end import FrontEnd, of, read, types, user
from tests.driver import Driver, eventually
from tests.gate import Gate

EVERY_KIND: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


async def test_a_run(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    events = await front.says("call weather", run_id="the-run", parent_run_id="its-parent")

    assert types(events) == [
        "RUN_STARTED",
        "STATE_SNAPSHOT",
        "STEP_STARTED",
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "STEP_FINISHED",
        "STATE_SNAPSHOT",
        "STEP_STARTED",
        "CUSTOM",
        "TOOL_CALL_RESULT",
        "STEP_FINISHED",
        "STEP_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_FINISHED",
        "STATE_SNAPSHOT",
        "MESSAGES_SNAPSHOT",
        "RUN_FINISHED",
    ]
    started, finished = events[0], events[-1]
    assert (started.thread_id, started.run_id, started.parent_run_id) == (front.thread_id, "the-run", "its-parent")
    assert (finished.run_id, finished.outcome.type, finished.outcome.pending_tool_call_ids) == (
        "the-run",
        "success",
        [],
    )
    assert [(used.input_tokens, used.total_tokens) for used in finished.usage] == [(20, 30)]
    [call], [result] = of(events, "TOOL_CALL_START"), of(events, "TOOL_CALL_RESULT")
    assert (call.tool_call_name, result.content) == ("weather", "sunny in Paris")
    assert "".join(event.delta for event in of(events, "TOOL_CALL_ARGS")) == '{"city": "Paris"}'
    assert result.tool_call_id == call.tool_call_id
    assert [(event.name, event.value) for event in of(events, "CUSTOM")] == [("progress", "weather")]
    assert front.shown == [
        ("user", "call weather"),
        ("reasoning", "Which tool?"),
        ("assistant", "One moment."),
        ("tool", "sunny in Paris"),
        ("assistant", "The tool said: sunny in Paris"),
    ]
    streamed = {
        event.message_id for event in (*of(events, "TEXT_MESSAGE_START"), *of(events, "REASONING_START"), result)
    }
    assert streamed == {message.id for message in front.messages[1:]}
    [run] = await driver.runs(front.thread_id)
    assert run["metadata"]["ag_ui_run_id"] == "the-run"


async def test_messages_are_told_once(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    await front.says("one")
    await front.says("two")
    forgetful = FrontEnd(driver.http, thread_id=front.thread_id)
    await forgetful.says("three")  # it knows nothing of the others

    messages = (await driver.state(front.thread_id))["values"]["messages"]
    assert [message["content"] for message in messages] == ["one", "one ", "two", "two ", "three", "three "]
    assert [text for _, text in forgetful.shown] == [message["content"] for message in messages]


async def test_nothing_new_runs_nothing(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    await front.says("hello")
    events = await front.runs()
    assert types(events) == ["RUN_STARTED", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert front.shown == [("user", "hello"), ("assistant", "hello ")]
    assert len(await driver.runs(front.thread_id)) == 1


async def test_an_answer_is_asked_for_again(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    for text in ("one", "two", "three"):
        await front.says(text)
    front.messages = front.messages[:3]  # up to "two"
    await front.runs()
    assert [text for _, text in front.shown] == ["one", "one ", "two", "two "]

    edited = UserMessage(id=front.messages[0].id, content="uno")
    front.messages = []
    await front.runs(edited)
    assert [text for _, text in front.shown] == ["uno", "uno "]


async def test_the_state_is_shared(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    front.state = {
        "notes": {"theme": "a long story about a quiet harbour", "answers": 41},
        "unknown": 1,
        "messages": [],
    }
    events = await front.says("hello")
    [delta] = of(events, "STATE_DELTA")
    assert [each.model_dump() for each in delta.delta] == [{"op": "replace", "path": "/notes/answers", "value": 42}]
    assert front.state == {"notes": {"theme": "a long story about a quiet harbour", "answers": 42}}
    await front.says("again")
    assert front.state["notes"]["answers"] == 43
    front.state["notes"]["answers"] = 7
    await front.runs()  # a changed state alone is a reason to run
    assert front.state["notes"]["answers"] == 8


async def test_a_state_without_messages(driver: Driver) -> None:
    front = FrontEnd(driver.http, "echo")
    front.state = {"x": "hi", "log": ["before"]}
    events = await front.runs()
    assert front.state == {"x": "hi!", "n": 1, "log": ["before"]}
    assert "MESSAGES_SNAPSHOT" not in types(events)
    await front.runs()
    assert front.state == {"x": "hi!!", "n": 2, "log": ["before"]}  # what was known is not added again


async def test_tools_of_the_client(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    brought: dict[str, Any] = {
        "tools": [Tool(name="paint", description="Paints.", parameters={"type": "object"})],
        "context": [Context(description="The page", value="a harbour")],
        "forwarded_props": {"someThing": {"a": 1}},
    }
    events = await front.says("call paint", **brought)
    [call] = of(events, "TOOL_CALL_START")
    assert events[-1].outcome.pending_tool_call_ids == [call.tool_call_id]
    values = (await driver.state(front.thread_id))["values"]
    tools = [{"name": "paint", "description": "Paints.", "parameters": {"type": "object"}}]
    about = [{"description": "The page", "value": "a harbour"}]
    assert values["tools"] == tools
    assert values["copilotkit"] == {"actions": tools, "context": about}
    assert values["ag-ui"] == {"tools": tools, "context": about, "forwarded_props": {"some_thing": {"a": 1}}}
    [run] = await driver.runs(front.thread_id)
    assert run["kwargs"]["config"]["configurable"]["ag-ui"] == values["ag-ui"]

    painted = ToolMessage(id=str(uuid4()), content="a red house", tool_call_id=call.tool_call_id)
    await front.runs(painted, **brought)
    assert front.shown[-2:] == [("tool", "a red house"), ("assistant", "The tool said: a red house")]
    renamed = painted.model_copy(update={"id": "another"})
    front.messages[-2] = renamed
    await front.says("thanks")
    assert (await driver.state(front.thread_id))["values"]["tools"] == []
    assert [role for role, _ in front.shown].count("tool") == 1


async def test_what_was_broken_off_is_left_out(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    await front.says("hello")
    call: Any = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    await front.runs(AssistantMessage(id="half", tool_calls=[call]), user("go on"))
    assert front.shown == [("user", "hello"), ("assistant", "hello "), ("user", "go on"), ("assistant", "go on ")]


async def test_messages_of_every_kind(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    picture = ImagePart(source=DataSource(value="aGk=", mime_type="image/png"))
    given = EVERY_KIND.validate_python(
        [
            {"id": "1", "role": "system", "content": "S"},
            {"id": "2", "role": "developer", "content": "D"},
            {"id": "3", "role": "user", "content": [TextPart(text="look"), picture], "name": "ann"},
            {
                "id": "4",
                "role": "assistant",
                "toolCalls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"id": "5", "role": "tool", "content": "broken", "toolCallId": "c", "error": "broken"},
            {"id": "6", "role": "reasoning", "content": "hm"},
            {"id": "7", "role": "activity", "activityType": "plan", "content": {}},
            {"id": "8", "role": "user", "content": "so?"},
        ]
    )
    await front.runs(*given)
    expected = [message.model_dump() for message in given if message.role not in ("reasoning", "activity")]
    assert [message.model_dump() for message in front.messages[:-1]] == expected
    assert front.shown[-1] == ("assistant", "so? (S)(D)")


async def test_a_failure(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    events = await front.says("fail")
    assert types(events)[-1] == "RUN_ERROR"
    assert (events[-1].message, events[-1].code) == ("the model failed", "ValueError")
    again = await front.runs()  # its question has no answer: it is asked again
    assert types(again)[-1] == "RUN_ERROR"
    assert len(await driver.runs(front.thread_id)) == 2


async def test_a_client_that_goes_away(driver: Driver, gate: Gate) -> None:
    """Going away is how a front end stops a run."""
    for on_disconnect, status in (("cancel", "interrupted"), ("continue", "success")):
        front = FrontEnd(driver.http, "gated")
        front.state = gate.state
        forwarded = {} if on_disconnect == "cancel" else {"onDisconnect": on_disconnect}
        given = front.input(forwarded_props=forwarded)
        async with driver.http.stream("POST", front.path, json=given) as response:
            await gate.reached()
            location = response.headers["content-location"]
        if on_disconnect == "continue":
            gate.open()

        async def status_now(path: str = location) -> Any:
            return (await driver.http.get(path)).json()["status"]

        async def ended(wanted: str = status) -> bool:
            return bool(await status_now() == wanted)

        await eventually(ended, f"the run becoming {status}")


async def test_a_run_that_is_cancelled(driver: Driver, gate: Gate) -> None:
    front = FrontEnd(driver.http, "gated")
    front.state = gate.state
    async with driver.http.stream("POST", front.path, json=front.input()) as response:
        await gate.reached()
        run_id = response.headers["content-location"].rpartition("/")[2]
        await driver.cancel(front.thread_id, run_id)
        events = read((await response.aread()).decode())
    assert types(events)[-2:] == ["STEP_FINISHED", "RUN_FINISHED"]
    assert events[-1].outcome.type == "cancelled"


async def test_names_of_threads(driver: Driver) -> None:
    name = f"my thread {uuid4()}"
    front = FrontEnd(driver.http, thread_id=name)
    response = await driver.http.post(front.path, json=front.input(user("one")))
    thread_id = response.headers["content-location"].split("/")[2]
    assert str(UUID(thread_id)) == thread_id
    events = await front.says("two")
    assert events[0].thread_id == name
    assert [text for _, text in front.shown] == ["one", "one ", "two", "two "]


async def test_other_stream_modes_come_raw(driver: Driver) -> None:
    front = FrontEnd(driver.http, "nested")
    front.state = {"x": ""}
    events = await front.runs(forwarded_props={"streamMode": ["debug"], "streamSubgraphs": True})
    raw = [event.event["event"] for event in of(events, "RAW")]
    assert "debug" in raw
    assert any(name.startswith("debug|sub:") for name in raw)
    steps = [event.step_name for event in of(events, "STEP_STARTED")]
    assert steps == ["before", "sub", "sub/one", "sub/two", "after"]


@pytest.mark.parametrize(
    ("change", "status", "about"),
    [
        ({"messages": [{"id": "1", "role": "king", "content": "x"}]}, 422, "messages"),
        ({"threadId": ""}, 422, "threadId"),
        ({"runId": None}, 422, "runId"),
        ({"forwardedProps": "x"}, 422, "forwardedProps"),
        ({"forwardedProps": {"streamMode": "nonsense"}}, 422, "forwardedProps: streamMode"),
        ({"resume": [{"interruptId": "x", "status": "resolved"}]}, 422, "does not wait"),
    ],
)
async def test_refusals(driver: Driver, change: dict[str, Any], status: int, about: str) -> None:
    response = await driver.http.post("/agui/helper", json={**FrontEnd(driver.http).input(user("hi")), **change})
    assert response.status_code == status
    assert about in response.json()["detail"]


async def test_unknown_assistants(driver: Driver) -> None:
    given = FrontEnd(driver.http).input(user("hi"))
    for called, status in ((str(uuid4()), 404), ("nobody", 422)):
        assert (await driver.http.post(f"/agui/{called}", json=given)).status_code == status
