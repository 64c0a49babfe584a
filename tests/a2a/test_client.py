"""The official client talks to an agent (spec 14)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from a2a.client import Client
from a2a.helpers import get_artifact_text, get_message_text
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Part,
    SubscribeToTaskRequest,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError, TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict

from tests.a2a.conftest import Agent, data, request_of, text, told
from tests.driver import Driver, eventually
from tests.gate import Gate

COMPLETED, CANCELED = TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_CANCELED
INPUT_REQUIRED, FAILED = TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_FAILED


async def send(client: Client, *parts: Part, **options: Any) -> Task:
    """The task that the message becomes."""
    (answer,) = await told(client, request_of(*parts, **options))
    return answer.task


async def test_sending(agent: Agent) -> None:
    task = await send(await agent("chat"), text("2"))
    assert task.status.state == COMPLETED
    assert [get_message_text(message) for message in task.history] == ["2", "w0 w1"]
    assert [get_artifact_text(artifact) for artifact in task.artifacts] == ["w0 w1"]


async def test_a_context_is_a_conversation(agent: Agent) -> None:
    client = await agent("chat")
    first = await send(client, text("1"))
    second = await send(client, text("2"), context=first.context_id)
    assert second.id != first.id
    assert [get_message_text(message) for message in second.history] == ["1", "w0", "2", "w0 w1"]
    again = await client.get_task(GetTaskRequest(id=first.id))
    assert [get_artifact_text(artifact) for artifact in again.artifacts] == ["w0"]
    assert [get_message_text(message) for message in again.history] == ["1", "w0"]
    with pytest.raises(A2AError):
        await send(client, text("1"), context="no uuid")


async def test_data_and_the_state_as_a_result(agent: Agent) -> None:
    task = await send(await agent("echo"), data(x="a"), data(log=["b"]))
    assert task.status.state == COMPLETED
    (artifact,) = task.artifacts
    assert MessageToDict(artifact.parts[0].data) == {"x": "a!", "n": 1, "log": ["b"]}


async def test_files(agent: Agent) -> None:
    image = Part(raw=b"\x89PNG", media_type="image/png", filename="a.png")
    page = Part(url="https://example.org/a.pdf", media_type="application/pdf")
    task = await send(await agent("chat"), text("what is this?"), image, page)
    question = task.history[0]
    assert get_message_text(question) == "what is this?"
    assert (question.parts[1].raw, question.parts[1].media_type, question.parts[1].filename) == (
        b"\x89PNG",
        "image/png",
        "a.png",
    )
    assert (question.parts[2].url, question.parts[2].media_type) == (page.url, page.media_type)


@pytest.mark.parametrize("answer", [text("yes"), data(resume="yes")], ids=["text", "data"])
async def test_answering_a_question(agent: Agent, answer: Part) -> None:
    client = await agent("hitl")
    asked = await send(client, data(x="a"))
    assert asked.status.state == INPUT_REQUIRED
    assert MessageToDict(asked.status.message.parts[0].data) == {"question": "ok?"}
    assert asked.artifacts[0].name == "Interrupt"
    assert MessageToDict(asked.artifacts[0].parts[0].data)["value"] == {"question": "ok?"}
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id=asked.id))

    done = await send(client, answer, task=asked)
    assert (done.id, done.context_id, done.status.state) == (asked.id, asked.context_id, COMPLETED)
    assert MessageToDict(done.artifacts[0].parts[0].data)["x"] == "yes!"
    with pytest.raises(UnsupportedOperationError):
        await send(client, answer, task=asked)


async def test_a_failure(agent: Agent) -> None:
    task = await send(await agent("failing"), data(x="a"))
    assert task.status.state == FAILED
    assert get_message_text(task.status.message) == "ValueError: the node failed"
    assert not task.artifacts


async def test_streaming(agent: Agent) -> None:
    answers = await told(await agent("slow_chat", streaming=True), request_of(text("4")))
    kinds = [answer.WhichOneof("payload") for answer in answers]
    assert kinds[0] == "task"
    assert answers[0].task.status.state == TaskState.TASK_STATE_SUBMITTED
    updates = [answer.status_update for answer in answers if answer.HasField("status_update")]
    assert {update.status.state for update in updates[:-1]} == {TaskState.TASK_STATE_WORKING}
    said = [get_message_text(update.status.message) for update in updates[:-1] if update.status.HasField("message")]
    assert len(said) > 1
    assert said[-1] == "w0 w1 w2 w3"
    assert all(later.startswith(earlier) for earlier, later in pairwise(said))
    assert kinds[-2:] == ["artifact_update", "status_update"]
    assert get_artifact_text(answers[-2].artifact_update.artifact) == "w0 w1 w2 w3"
    assert updates[-1].status.state == COMPLETED


async def test_streaming_a_question_and_its_answer(agent: Agent) -> None:
    client = await agent("hitl", streaming=True)
    answers = await told(client, request_of(data(x="a")))
    assert answers[-1].status_update.status.state == INPUT_REQUIRED
    answers = await told(client, request_of(text("yes"), task=answers[0].task))
    assert answers[-1].status_update.status.state == COMPLETED


async def test_cancelling(agent: Agent, gate: Gate) -> None:
    client = await agent("gated")
    started = await send(client, data(**gate.state), return_immediately=True)
    assert started.status.state in (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
    with pytest.raises(UnsupportedOperationError):
        await send(client, data(x="more"), task=started)
    await gate.reached()
    cancelled = await client.cancel_task(CancelTaskRequest(id=started.id))
    assert cancelled.status.state == CANCELED
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id=started.id))


async def test_subscribing(agent: Agent, gate: Gate) -> None:
    client = await agent("gated", streaming=True)
    running = client.send_message(request_of(data(**gate.state)))
    task = (await anext(running)).task
    await gate.reached()
    await running.aclose()  # type: ignore[attr-defined]  # the agent goes on without its client

    answers = client.subscribe(SubscribeToTaskRequest(id=task.id))
    assert (await anext(answers)).task.status.state == TaskState.TASK_STATE_WORKING
    gate.open()
    last = [answer async for answer in answers][-1]
    assert last.status_update.status.state == COMPLETED
    with pytest.raises(UnsupportedOperationError):
        await anext(client.subscribe(SubscribeToTaskRequest(id=task.id)))


async def test_unknown_tasks(agent: Agent) -> None:
    client = await agent("chat")
    other = await send(await agent("echo"), data(x="a"))
    for task_id in ("x", f"{other.context_id}:{other.context_id}", other.id):
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id=task_id))


@pytest.mark.parametrize("generation", ["1.0"], indirect=True)
async def test_listing(agent: Agent) -> None:
    client = await agent("two_questions")
    asked = await send(client, data(x="a"))
    done = await send(client, data(resume=dict.fromkeys(interrupts(asked), "b")), task=asked)
    assert done.status.state == COMPLETED
    other = await send(client, data(x="a"))

    async def listed(**wanted: Any) -> list[str]:
        return [task.id for task in (await client.list_tasks(ListTasksRequest(**wanted))).tasks]

    assert await listed() == [other.id, done.id]
    assert await listed(status=INPUT_REQUIRED) == [other.id]
    assert await listed(status=COMPLETED) == [done.id]
    assert await listed(status=TaskState.TASK_STATE_WORKING) == []
    assert await listed(context_id=done.context_id) == [done.id]
    assert await listed(status_timestamp_after=done.status.timestamp) == [other.id]
    page = await client.list_tasks(ListTasksRequest(page_size=1, include_artifacts=True))
    assert (page.total_size, page.page_size, page.next_page_token) == (2, 1, "1")
    assert page.tasks[0].artifacts
    page = await client.list_tasks(ListTasksRequest(page_size=1, page_token="1"))
    assert ([task.id for task in page.tasks], page.next_page_token) == ([done.id], "")
    assert not page.tasks[0].artifacts


def interrupts(task: Task) -> list[str]:
    return [MessageToDict(part.data)["id"] for part in task.artifacts[0].parts]


async def test_a_run_that_takes_its_time(agent: Agent, gate: Gate) -> None:
    """The answer comes after signs of life, which a client does not see."""
    client = await agent("gated")
    sending = asyncio.create_task(send(client, data(**gate.state)))
    await gate.reached()
    await asyncio.sleep(0.5)
    gate.open()
    assert (await sending).status.state == COMPLETED


async def test_a_task_whose_run_was_deleted(agent: Agent, driver: Driver) -> None:
    client = await agent("echo")
    task = await send(client, data(x="a"))
    (run,) = await driver.runs(task.context_id)
    response = await driver.http.delete(f"/threads/{task.context_id}/runs/{run['run_id']}")
    assert response.status_code == 204

    async def gone() -> bool:
        return (await client.get_task(GetTaskRequest(id=task.id))).status.state == CANCELED

    await eventually(gone, "the task being canceled")
