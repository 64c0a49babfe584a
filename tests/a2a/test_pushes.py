"""Push notifications go through the outbox of webhooks."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.types import (
    AuthenticationInfo,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    TaskPushNotificationConfig,
)

from tests.a2a.conftest import Agent, data, request_of, text, told
from tests.driver import Driver
from tests.gate import Gate
from tests.webhooks.conftest import calls_of
from tests.webhooks.receiver import Receiver, receiving


def task_in(receiver: Receiver, generation: str, number: int = 0) -> Any:
    """The task that the receiver was told of."""
    body = receiver.calls[number].body
    if generation == "1.0":
        assert list(body) == ["task"]
        return body["task"]
    return body


STATES = {"0.3": ("input-required", "completed"), "1.0": ("TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED")}


async def test_being_notified(agent: Agent, generation: str, driver: Driver) -> None:
    client = await agent("hitl")
    with receiving(500) as receiver:
        config = TaskPushNotificationConfig(
            url=f"{receiver.url}/hook",
            token="a-token",
            authentication=AuthenticationInfo(scheme="Bearer", credentials="secret"),
        )
        (asked,) = await told(client, request_of(data(x="a"), task_push_notification_config=config))
        first, again = (await calls_of(receiver, 2))[:2]  # the first attempt was answered 500
        assert first.raw == again.raw
        assert first.headers["x-a2a-notification-token"] == "a-token"
        assert first.headers["authorization"] == "Bearer secret"
        task = task_in(receiver, generation)
        assert task["id"] == asked.task.id
        assert task["status"]["state"] == STATES[generation][0]
        assert task["artifacts"][0]["parts"][0]["data"]["value"] == {"question": "ok?"}

        await told(client, request_of(text("yes"), task=asked.task))
        await calls_of(receiver, 3)
        task = task_in(receiver, generation, 2)
        assert task["status"]["state"] == STATES[generation][1]
        assert task["artifacts"][0]["parts"][0]["data"]["x"] == "yes!"
    (run, _) = await driver.runs(asked.task.context_id)
    assert "a2a" not in run["kwargs"]


async def test_configurations(agent: Agent, generation: str, gate: Gate) -> None:
    client = await agent("gated")
    (started,) = await told(client, request_of(data(**gate.state), return_immediately=True))
    task_id = started.task.id
    with receiving() as receiver:

        async def set_(name: str, **fields: Any) -> TaskPushNotificationConfig:
            return await client.create_task_push_notification_config(
                TaskPushNotificationConfig(task_id=task_id, id=name, url=f"{receiver.url}/{name}", **fields)
            )

        assert (await set_("one")).id == "one"
        await set_("two", token="old")
        await set_("two", token="new")
        found = await client.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task_id)
        )
        assert [(each.id, each.token) for each in found.configs] == [("one", ""), ("two", "new")]
        two = await client.get_task_push_notification_config(
            GetTaskPushNotificationConfigRequest(task_id=task_id, id="two")
        )
        assert (two.url, two.token) == (f"{receiver.url}/two", "new")
        await client.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(task_id=task_id, id="one")
        )
        await gate.reached()
        await client.cancel_task(CancelTaskRequest(id=task_id))
        (call,) = await calls_of(receiver)
        assert (call.path, call.headers["x-a2a-notification-token"]) == ("/two", "new")
        assert task_in(receiver, generation)["status"]["state"].lower().endswith("canceled")


@pytest.mark.parametrize("generation", ["1.0"], indirect=True)
async def test_a_task_that_never_began(agent: Agent, driver: Driver, gate: Gate) -> None:
    """Its run waited for another one of the context when it was cancelled."""
    client = await agent("gated")
    (first,) = await told(client, request_of(data(**gate.state), return_immediately=True))
    with receiving() as receiver:
        config = TaskPushNotificationConfig(url=receiver.url)
        wanted = {"task_push_notification_config": config, "return_immediately": True}
        (second,) = await told(client, request_of(data(x="a"), context=first.task.context_id, **wanted))
        assert (await client.cancel_task(CancelTaskRequest(id=second.task.id))).id == second.task.id
        await calls_of(receiver)
        assert task_in(receiver, "1.0")["status"]["state"] == "TASK_STATE_CANCELED"
    gate.open()
    await driver.settled(first.task.context_id)
