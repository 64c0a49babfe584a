"""What a webhook is told, for every way in which a run can end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.gate import Gate
from tests.webhooks.conftest import QUICK, calling, calls_of
from tests.webhooks.receiver import receiving

RUN_FIELDS = {
    "run_id", "thread_id", "assistant_id", "created_at", "updated_at", "metadata", "kwargs", "multitask_strategy", "status",
}  # fmt: skip
NOTICE_FIELDS = RUN_FIELDS | {"run_started_at", "run_ended_at", "webhook_sent_at", "values"}


async def test_success(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        thread = await sdk.threads.create()
        run = await sdk.runs.create(
            thread["thread_id"], "echo", input={"x": "a"}, metadata={"m": 1}, webhook=f"{receiver.url}/hook?a=b"
        )
        call = (await calls_of(receiver))[0]

        assert (call.method, call.path, call.headers["content-type"]) == ("POST", "/hook?a=b", "application/json")
        told = call.body
        assert set(told) == NOTICE_FIELDS
        stored: Any = await sdk.runs.get(thread["thread_id"], run["run_id"])
        assert {name: told[name] for name in RUN_FIELDS} == stored
        assert told["values"] == {"x": "a!", "n": 1, "log": []}
        assert told["status"] == "success"
        times = [told[name] for name in ("created_at", "run_started_at", "run_ended_at", "webhook_sent_at")]
        assert times == sorted(times)
        assert all(len(each) == 32 and each.endswith("+00:00") for each in times)


async def test_error(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        thread = await sdk.threads.create()
        await sdk.runs.create(thread["thread_id"], "failing", input={"x": "a"}, webhook=receiver.url)
        told = (await calls_of(receiver))[0].body

        assert set(told) == {*NOTICE_FIELDS, "error"}
        assert told["status"] == "error"
        assert told["error"] == {"error": "ValueError", "message": "the node failed"}
        assert told["values"]["x"] == "a!"


async def test_timeout(tmp_path: Path) -> None:
    async with calling(tmp_path, job_timeout_s=0.2) as sdk:
        with receiving() as receiver:
            thread = await sdk.threads.create()
            await sdk.runs.create(thread["thread_id"], "sleeper", input={"n": 60}, webhook=receiver.url)
            told = (await calls_of(receiver))[0].body
            assert (told["status"], "error" in told) == ("timeout", True)


async def test_question_to_a_human_is_a_success(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        thread = await sdk.threads.create()
        await sdk.runs.create(thread["thread_id"], "hitl", input={"x": "a"}, webhook=receiver.url)
        assert (await calls_of(receiver))[0].body["status"] == "success"


async def test_throw_away_thread_has_no_values(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        await sdk.runs.create(None, "echo", input={"x": "a"}, webhook=receiver.url)
        told = (await calls_of(receiver))[0].body
        assert (told["status"], told["values"]) == ("success", None)


@pytest.mark.parametrize(("action", "status"), [("interrupt", "interrupted"), ("rollback", "rollback")])
async def test_running_run_is_cancelled(
    sdk: LangGraphClient, gates: Callable[[], Gate], action: Any, status: str
) -> None:
    gate = gates()
    with receiving() as receiver:
        thread = await sdk.threads.create()
        run = await sdk.runs.create(thread["thread_id"], "gated", input=gate.state, webhook=receiver.url)
        await gate.reached()

        await sdk.runs.cancel(thread["thread_id"], run["run_id"], action=action, wait=True)

        told = (await calls_of(receiver))[0].body
        assert (told["run_id"], told["status"]) == (run["run_id"], status)
        assert (told["values"] is None) == (action == "rollback")


@pytest.mark.parametrize(
    ("end", "status"),
    [("interrupt", "interrupted"), ("rollback", "rollback"), ("delete", "rollback"), ("superseded", "interrupted")],
)
async def test_run_that_never_started_is_cancelled(sdk: LangGraphClient, end: Any, status: str) -> None:
    with receiving() as receiver:
        thread = await sdk.threads.create()
        thread_id = thread["thread_id"]
        run = await sdk.runs.create(thread_id, "echo", input={"x": "a"}, after_seconds=600, webhook=receiver.url)
        if end == "delete":
            await sdk.runs.delete(thread_id, run["run_id"])
        elif end == "superseded":
            await sdk.runs.create(thread_id, "echo", input={"x": "b"}, multitask_strategy="interrupt")
        else:
            await sdk.runs.cancel(thread_id, run["run_id"], action=end)

        told = (await calls_of(receiver))[0].body
        assert (told["run_id"], told["status"], told["run_started_at"]) == (run["run_id"], status, None)


async def test_one_notice_for_each_run(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        thread = await sdk.threads.create()
        runs = [
            await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"}, webhook=receiver.url) for _ in range(5)
        ]
        silent = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"})
        await sdk.runs.join(thread["thread_id"], silent["run_id"])
        told = [call.body["run_id"] for call in await calls_of(receiver, 5)]
        await asyncio.sleep(0.1)
        assert sorted(told) == sorted(run["run_id"] for run in runs)
        assert len(receiver.calls) == 5


async def test_webhook_of_a_cron(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        cron: Any = await sdk.crons.create("echo", schedule="* * * * * *", input={"x": "a"}, webhook=receiver.url)
        told = (await calls_of(receiver))[0].body
        await sdk.crons.delete(cron["cron_id"])
        assert told["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]


async def test_only_allowed_fields_are_sent(tmp_path: Path) -> None:
    settings = replace(QUICK, allowed_fields=frozenset({"run_id", "status", "webhook_sent_at"}))
    async with calling(tmp_path, webhooks=settings) as sdk:
        with receiving() as receiver:
            await sdk.runs.create(None, "echo", input={"x": "a"}, webhook=receiver.url)
            assert set((await calls_of(receiver))[0].body) == {"run_id", "status", "webhook_sent_at"}
