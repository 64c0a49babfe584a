"""The routes of crons, through the official client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import BadRequestError, NotFoundError, UnprocessableEntityError

NEVER = "0 0 1 1 *"
"""Not while the tests run, unless it is New Year's Eve."""

FAR = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture
async def thread_id(sdk: LangGraphClient) -> str:
    return str((await sdk.threads.create())["thread_id"])


async def create(sdk: LangGraphClient, **options: Any) -> dict[str, Any]:
    cron: Any = await sdk.crons.create("echo", **{"schedule": NEVER, **options})
    return dict(cron)


async def test_stateless_cron(sdk: LangGraphClient) -> None:
    cron = await create(
        sdk,
        input={"x": "a"},
        metadata={"m": 1},
        config={"configurable": {"k": "v"}, "tags": ["t"]},
        end_time=FAR,
        timezone=ZoneInfo("Europe/Paris"),
        on_run_completed="keep",
    )

    assistants = await sdk.assistants.search(graph_id="echo")
    assistant_id = assistants[0]["assistant_id"]
    assert set(cron) == {
        "cron_id", "assistant_id", "thread_id", "user_id", "schedule", "timezone", "end_time", "payload", "next_run_date",
        "metadata", "on_run_completed", "enabled", "created_at", "updated_at",
    }  # fmt: skip
    assert cron["assistant_id"] == assistant_id
    assert (cron["thread_id"], cron["user_id"], cron["enabled"]) == (None, None, True)
    assert (cron["schedule"], cron["timezone"], cron["on_run_completed"]) == (NEVER, "Europe/Paris", "keep")
    assert cron["end_time"] == "2090-01-01T00:00:00.000000+00:00"
    assert cron["metadata"] == {"m": 1}
    assert cron["next_run_date"].endswith("-12-31T23:00:00.000000+00:00")
    payload = cron["payload"]
    assert (payload["assistant_id"], payload["input"], payload["schedule"]) == (assistant_id, {"x": "a"}, NEVER)
    assert payload["config"] == {"configurable": {"k": "v", "cron_id": cron["cron_id"]}, "tags": ["t"]}


async def test_defaults(sdk: LangGraphClient, thread_id: str) -> None:
    stateless = await create(sdk)
    on_thread: Any = await sdk.crons.create_for_thread(thread_id, "echo", schedule=NEVER, multitask_strategy="reject")

    assert (stateless["on_run_completed"], on_thread["on_run_completed"]) == ("delete", None)
    assert (stateless["timezone"], stateless["end_time"], stateless["metadata"]) == (None, None, {})
    assert on_thread["thread_id"] == thread_id
    assert on_thread["payload"]["multitask_strategy"] == "reject"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"schedule": "nonsense"}, 422),
        ({"schedule": None}, 422),
        ({"timezone": "Nowhere"}, 422),
        ({"end_time": "soon"}, 422),
        ({"end_time": "2030-01-01"}, 422),
        ({"end_time": "9999-12-31T23:59:59-23:00"}, 422),
        ({"on_run_completed": "maybe"}, 422),
        ({"input": "text"}, 422),
        ({"stream_mode": "tools"}, 422),
        ({"webhook": "ftp://example.com"}, 422),
        ({"webhook": "http://127.0.0.1/hook"}, 422),
        ({"config": {"configurable": {"a": 1}}, "context": {"b": 1}}, 400),
        ({"assistant_id": str(uuid4())}, 404),
        ({"assistant_id": "neither a graph nor a UUID"}, 404),
    ],
)
async def test_refused(http: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    response = await http.post("/runs/crons", json={"assistant_id": "echo", "schedule": NEVER, **body})
    assert (response.status_code, list(response.json())) == (status, ["detail"])
    assert (await http.post("/runs/crons/count", json={})).json() == 0


async def test_missing_schedule_is_unprocessable(http: httpx.AsyncClient) -> None:
    assert (await http.post("/runs/crons", json={"assistant_id": "echo"})).status_code == 422


async def test_unknown_thread(sdk: LangGraphClient) -> None:
    with pytest.raises(NotFoundError):
        await sdk.crons.create_for_thread(str(uuid4()), "echo", schedule=NEVER)
    with pytest.raises(UnprocessableEntityError):
        await sdk.crons.create_for_thread("not-a-uuid", "echo", schedule=NEVER)


async def test_get_and_delete(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    cron = await create(sdk)
    path = f"/runs/crons/{cron['cron_id']}"

    assert (await http.get(path)).json() == cron
    await sdk.crons.delete(cron["cron_id"])

    assert (await http.get(path)).status_code == 404
    with pytest.raises(NotFoundError):
        await sdk.crons.delete(cron["cron_id"])
    with pytest.raises(NotFoundError):
        await sdk.crons.update(cron["cron_id"], enabled=False)


async def test_reserved_keys_are_dropped(sdk: LangGraphClient) -> None:
    cron = await create(
        sdk,
        metadata={"cron_id": "x", "run_id": "y", "mine": 1},
        config={"configurable": {"langgraph_auth_user": {"identity": "root"}, "cron_id": "forged"}},
    )

    assert cron["metadata"] == {"mine": 1}
    assert cron["payload"]["config"]["configurable"] == {"cron_id": cron["cron_id"]}


# --- changing


async def test_change_of_the_schedule_moves_the_next_run(sdk: LangGraphClient) -> None:
    cron = await create(sdk, input={"x": "a"}, metadata={"a": 1, "b": 1})

    changed: Any = await sdk.crons.update(cron["cron_id"], schedule="0 12 1 1 *", timezone="America/New_York")

    assert changed["next_run_date"].endswith("-01-01T17:00:00.000000+00:00")
    assert (changed["schedule"], changed["timezone"]) == ("0 12 1 1 *", "America/New_York")
    assert changed["payload"]["schedule"] == "0 12 1 1 *"
    assert changed["updated_at"] > cron["updated_at"]
    assert changed["created_at"] == cron["created_at"]


async def test_change_is_merged(sdk: LangGraphClient) -> None:
    cron = await create(sdk, input={"x": "a"}, metadata={"a": 1, "b": 1}, config={"configurable": {"k": 1}})

    changed: Any = await sdk.crons.update(
        cron["cron_id"], input={"x": "b"}, metadata={"b": 2, "c": 3}, config={"tags": ["t"]}, on_run_completed="keep"
    )

    assert changed["metadata"] == changed["payload"]["metadata"] == {"a": 1, "b": 2, "c": 3}
    assert changed["payload"]["input"] == {"x": "b"}
    assert changed["payload"]["config"] == {"tags": ["t"], "configurable": {"cron_id": cron["cron_id"]}}
    assert changed["on_run_completed"] == "keep"
    assert "enabled" not in changed["payload"]
    assert "on_run_completed" not in changed["payload"]
    assert changed["next_run_date"] == cron["next_run_date"]


async def test_end_time_can_be_set_and_cleared(sdk: LangGraphClient) -> None:
    cron = await create(sdk)

    over: Any = await sdk.crons.update(cron["cron_id"], end_time=datetime.now(UTC) + timedelta(seconds=1))
    assert (over["next_run_date"], over["enabled"]) == (None, True)

    cleared: Any = await sdk.crons.update(cron["cron_id"], end_time=None)
    assert (cleared["end_time"], cleared["next_run_date"]) == (None, cron["next_run_date"])
    assert "end_time" not in cleared["payload"]


async def test_empty_change_is_refused(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    cron = await create(sdk)
    for body in ({}, {"schedule": None}, {"unknown": 1}):
        assert (await http.patch(f"/runs/crons/{cron['cron_id']}", json=body)).status_code == 400
    with pytest.raises(BadRequestError):
        await sdk.crons.update(cron["cron_id"], context={"a": 1}, config={"configurable": {"b": 1}})


async def test_assistant_of_a_cron_cannot_change(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    cron = await create(sdk)
    body = {"assistant_id": "nested", "enabled": False}
    changed = (await http.patch(f"/runs/crons/{cron['cron_id']}", json=body)).json()
    assert changed["assistant_id"] == changed["payload"]["assistant_id"] == cron["assistant_id"]


async def test_on_run_completed_is_not_for_crons_on_a_thread(sdk: LangGraphClient, thread_id: str) -> None:
    cron: Any = await sdk.crons.create_for_thread(thread_id, "echo", schedule=NEVER)
    with pytest.raises(UnprocessableEntityError):
        await sdk.crons.update(cron["cron_id"], on_run_completed="delete")


# --- finding


async def test_search_and_count(sdk: LangGraphClient, http: httpx.AsyncClient, thread_id: str) -> None:
    first = await create(sdk, metadata={"a": 1, "b": {"c": [1, 2]}})
    second = await create(sdk, enabled=False, schedule="0 0 2 1 *")
    third: Any = await sdk.crons.create_for_thread(thread_id, "nested", schedule=NEVER, end_time=FAR)
    nested = third["assistant_id"]

    async def found(**options: Any) -> list[str]:
        return [cron["cron_id"] for cron in await sdk.crons.search(**options)]

    ids = [cron["cron_id"] for cron in (first, second, third)]
    assert await found() == ids[::-1]
    assert await found(sort_by="created_at", sort_order="asc") == ids
    assert (await found(sort_by="next_run_date", sort_order="desc"))[0] == ids[1]
    assert (await found(sort_by="end_time", sort_order="asc"))[0] == ids[2]
    assert await found(assistant_id=nested) == [ids[2]]
    assert await found(thread_id=thread_id) == [ids[2]]
    assert await found(enabled=False) == [ids[1]]
    assert await found(metadata={"b": {"c": [2]}}) == [ids[0]]
    assert await found(limit=1, offset=1) == [ids[1]]
    assert await sdk.crons.count() == 3
    assert await sdk.crons.count(assistant_id=nested, thread_id=thread_id) == 1
    assert await sdk.crons.count(metadata={"a": 1}) == 1
    selected: Any = await sdk.crons.search(select=["cron_id", "enabled"], limit=1)
    assert selected == [{"cron_id": ids[2], "enabled": True}]

    response = await http.post("/runs/crons/search", json={"limit": 2})
    assert (response.headers["x-pagination-next"], response.headers["x-pagination-total"]) == ("2", "3")


@pytest.mark.parametrize("body", [{"assistant_id": "echo"}, {"thread_id": "x"}, {"limit": 0}, {"select": ["owner"]}])
async def test_bad_search(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post("/runs/crons/search", json=body)).status_code == 422


# --- what a cron hangs on


async def test_cron_goes_with_its_thread_and_its_assistant(sdk: LangGraphClient, thread_id: str) -> None:
    assistant = await sdk.assistants.create("echo")
    await sdk.crons.create_for_thread(thread_id, "echo", schedule=NEVER)
    await sdk.crons.create(assistant["assistant_id"], schedule=NEVER)
    assert await sdk.crons.count() == 2

    await sdk.threads.delete(thread_id)
    assert await sdk.crons.count() == 1

    await sdk.assistants.delete(assistant["assistant_id"])
    assert await sdk.crons.count() == 0
