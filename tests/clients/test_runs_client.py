"""The runs part of the Python SDK: creating, waiting, listing, cancelling."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError


@pytest.fixture
async def thread_id(client: Any) -> str:
    thread: dict[str, str] = await client.threads.create()
    return thread["thread_id"]


async def test_create_join_get_and_delete(client: Any, thread_id: str) -> None:
    told: list[Any] = []
    run = await client.runs.create(
        thread_id,
        "echo",
        input={"x": "hi"},
        metadata={"m": 1},
        config={"tags": ["t"], "configurable": {"k": "v"}},
        durability="sync",
        on_run_created=told.append,
    )
    assert told == [{"run_id": run["run_id"], "thread_id": thread_id}]
    assert (run["metadata"]["m"], run["kwargs"]["config"]["configurable"]["k"]) == (1, "v")
    assert await client.runs.join(thread_id, run["run_id"]) == {"x": "hi!", "n": 1, "log": []}
    assert (await client.runs.get(thread_id, run["run_id"]))["status"] == "success"
    await client.runs.delete(thread_id, run["run_id"])
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, run["run_id"])


async def test_list(client: Any, thread_id: str) -> None:
    for number in range(3):
        await client.runs.wait(thread_id, "echo", input={"x": str(number)})
    runs = await client.runs.list(thread_id)
    assert [run["kwargs"]["input"]["x"] for run in runs] == ["2", "1", "0"]
    assert await client.runs.list(thread_id, limit=1, offset=1) == runs[1:2]
    assert await client.runs.list(thread_id, status="error") == []
    selected = await client.runs.list(thread_id, limit=1, select=["run_id", "status"])
    assert selected == [{"run_id": runs[0]["run_id"], "status": "success"}]


async def test_wait(client: Any, thread_id: str) -> None:
    told: list[Any] = []
    values = await client.runs.wait(thread_id, "echo", input={"x": "hi"}, on_run_created=told.append)
    assert values == {"x": "hi!", "n": 1, "log": []}
    assert told[0]["thread_id"] == thread_id


async def test_wait_for_a_failure(client: Any, thread_id: str) -> None:
    with pytest.raises(Exception, match="ValueError: the node failed"):
        await client.runs.wait(thread_id, "failing", input={})
    told = await client.runs.wait(thread_id, "failing", input={"x": "a"}, raise_error=False)
    assert told == {"__error__": {"error": "ValueError", "message": "the node failed"}}
    thread = await client.threads.get(thread_id)
    assert (thread["status"], thread["error"]["error"]) == ("error", "ValueError")


async def test_stateless(client: Any) -> None:
    assert (await client.runs.wait(None, "echo", input={"x": "hi"}))["x"] == "hi!"
    kept = await client.runs.create(None, "echo", input={"x": "kept"}, on_completion="keep")
    assert (await client.runs.join(kept["thread_id"], kept["run_id"]))["x"] == "kept!"
    assert (await client.threads.get_state(kept["thread_id"]))["values"]["x"] == "kept!"
    gone = await client.runs.create(None, "echo", input={"x": "gone"})
    await client.runs.join(gone["thread_id"], gone["run_id"])
    with pytest.raises(NotFoundError):
        await client.threads.get(gone["thread_id"])


async def test_batch(client: Any) -> None:
    payloads = [{"assistant_id": "echo", "input": {"x": str(number)}, "on_completion": "keep"} for number in range(3)]
    runs = await client.runs.create_batch(payloads)
    results = [await client.runs.join(run["thread_id"], run["run_id"]) for run in runs]
    assert [values["x"] for values in results] == ["0!", "1!", "2!"]


async def test_cancel(client: Any, thread_id: str) -> None:
    run = await client.runs.create(thread_id, "sleeper", input={"n": 60})
    await client.runs.cancel(thread_id, run["run_id"], wait=True)
    assert (await client.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"
    assert (await client.threads.get(thread_id))["status"] in ("interrupted", "idle")
    with pytest.raises(NotFoundError):
        await client.runs.cancel(thread_id, run["run_id"])


async def test_cancel_with_rollback(client: Any, thread_id: str) -> None:
    await client.runs.wait(thread_id, "sleeper", input={"n": 0.01})
    history = await client.threads.get_history(thread_id)
    run = await client.runs.create(thread_id, "sleeper", input={"n": 60})
    await client.runs.cancel(thread_id, run["run_id"], wait=True, action="rollback")
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, run["run_id"])
    assert await client.threads.get_history(thread_id) == history
    assert (await client.threads.get(thread_id))["status"] == "idle"


async def test_cancel_many(client: Any, thread_id: str) -> None:
    runs = [await client.runs.create(thread_id, "sleeper", input={"n": 60}) for _ in range(3)]
    await client.runs.cancel_many(thread_id=thread_id, run_ids=[runs[0]["run_id"], runs[2]["run_id"]])
    await client.runs.join(thread_id, runs[0]["run_id"])
    statuses = {run["run_id"]: run["status"] for run in await client.runs.list(thread_id)}
    assert [statuses[run["run_id"]] for run in (runs[0], runs[2])] == ["interrupted", "interrupted"]
    assert statuses[runs[1]["run_id"]] in ("pending", "running")
    await client.runs.cancel_many(status="all", action="rollback")
    await client.runs.join(thread_id, runs[1]["run_id"])
    assert [run["run_id"] for run in await client.runs.list(thread_id)] == [runs[2]["run_id"], runs[0]["run_id"]]


async def test_double_texting(client: Any, thread_id: str) -> None:
    first = await client.runs.create(thread_id, "sleeper", input={"n": 60})
    with pytest.raises(ConflictError):
        await client.runs.create(thread_id, "echo", input={"x": "a"}, multitask_strategy="reject")
    values = await client.runs.wait(thread_id, "echo", input={"x": "b"}, multitask_strategy="interrupt")
    assert values["x"] == "b!"
    assert (await client.runs.get(thread_id, first["run_id"]))["status"] == "interrupted"
    second = await client.runs.create(thread_id, "sleeper", input={"n": 60})
    assert (await client.runs.wait(thread_id, "echo", input={"x": "c"}, multitask_strategy="rollback"))["x"] == "c!"
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, second["run_id"])


async def test_scheduled(client: Any, thread_id: str) -> None:
    run = await client.runs.create(thread_id, "echo", input={"x": "a"}, after_seconds=0.3)
    assert (run["status"], (await client.threads.get(thread_id))["status"]) == ("pending", "busy")
    assert run["created_at"] > (await client.threads.get(thread_id))["created_at"]
    assert (await client.runs.join(thread_id, run["run_id"]))["x"] == "a!"


async def test_thread_that_is_missing(client: Any) -> None:
    thread_id = str(uuid4())
    with pytest.raises(NotFoundError):
        await client.runs.create(thread_id, "echo", input={"x": "a"})
    await client.runs.wait(thread_id, "echo", input={"x": "a"}, if_not_exists="create", metadata={"m": 1})
    metadata = (await client.threads.get(thread_id))["metadata"]
    assert (metadata["graph_id"], metadata["m"]) == ("echo", 1)


async def test_interrupt_and_resume(client: Any, thread_id: str) -> None:
    asked = await client.runs.wait(thread_id, "hitl", input={"x": "a"})
    assert asked["__interrupt__"][0]["value"] == {"question": "ok?"}
    thread = await client.threads.get(thread_id)
    assert (thread["status"], [i["value"] for each in thread["interrupts"].values() for i in each]) == (
        "interrupted",
        [{"question": "ok?"}],
    )
    done = await client.runs.wait(thread_id, "hitl", command={"resume": "yes"})
    assert (done["x"], done["log"]) == ("yes!", ["asked"])
    assert (await client.threads.get(thread_id))["interrupts"] == {}


async def test_two_interrupts_answered_at_once(client: Any, thread_id: str) -> None:
    asked = await client.runs.wait(thread_id, "two_questions", input={})
    answers = {each["id"]: each["value"].upper() for each in asked["__interrupt__"]}
    done = await client.runs.wait(thread_id, "two_questions", command={"resume": answers})
    assert sorted(done["log"]) == ["left=LEFT", "right=RIGHT"]


async def test_static_interrupts(client: Any, thread_id: str) -> None:
    first = await client.runs.wait(thread_id, "nested", input={"x": "a"}, interrupt_before=["after"])
    assert (first["x"], "__interrupt__" in first) == ("a!", False)
    second = await client.runs.wait(thread_id, "nested", input=None, interrupt_after="*")
    assert (second["x"], (await client.threads.get_state(thread_id))["next"]) == ("a!!", [])


async def test_goto(client: Any, thread_id: str) -> None:
    await client.runs.wait(thread_id, "nested", input={"x": "a"})
    done = await client.runs.wait(thread_id, "nested", command={"goto": "after", "update": {"x": "jumped"}})
    assert done["x"] == "jumped!"


async def test_durability_exit_writes_one_checkpoint(client: Any, thread_id: str) -> None:
    await client.runs.wait(thread_id, "nested", input={"x": "a"}, durability="exit")
    assert len(await client.threads.get_history(thread_id)) == 1
    with pytest.warns(DeprecationWarning, match="checkpoint_during"):
        await client.runs.wait(thread_id, "nested", input={"x": "a"}, checkpoint_during=False)
    assert len(await client.threads.get_history(thread_id)) == 2


async def test_errors(client: Any, thread_id: str) -> None:
    with pytest.raises(UnprocessableEntityError, match="nowhere"):
        await client.runs.create(thread_id, "nowhere", input={})
    with pytest.raises(BadRequestError):
        await client.runs.create(None, "echo", command={"resume": "yes"})
    with pytest.raises(UnprocessableEntityError):
        await client.runs.create(thread_id, "echo", input={}, webhook="ftp://example.org")
    with pytest.raises(NotFoundError):
        await client.runs.get(thread_id, str(uuid4()))
