"""Threads by the vendor's client (MDA 9)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from managed_deepagents import ManagedDeepAgentsAPIError

from tests.deepagents.threads.conftest import BASE, Party

REMEMBER = "remember the sea is blue"


def status_of(error: pytest.ExceptionInfo[Any]) -> tuple[int, str | None]:
    return error.value.status_code, error.value.code


async def test_create(me: Party) -> None:
    agent_id = await me.agent()
    thread = await me.threads.create(agent_id=agent_id, metadata={"team": "x", "ls_user_id": "forged", "none": None})
    assert (thread["agent_id"], thread["status"]) == (agent_id, "idle")
    metadata = thread["metadata"]
    assert metadata["team"] == "x"
    assert metadata["ls_user_id"] != "forged"
    assert len(metadata["tenant_id"]) == 36
    assert (metadata["is_test_run"], metadata["skip_memory_write_protection"], metadata["read_status"]) == (
        False,
        False,
        True,
    )
    assert "none" not in metadata
    test = await me.threads.create(
        agent_id=agent_id, options={"test_run": True, "skip_memory_write_protection": True}, metadata=None
    )
    assert test["metadata"]["is_test_run"] is test["metadata"]["skip_memory_write_protection"] is True


async def test_create_with_an_id(me: Party) -> None:
    agent_id, other_id, thread_id = await me.agent(), await me.agent(), str(uuid4())
    made = await me.threads.create(agent_id=agent_id, thread_id=thread_id.upper(), metadata={"n": 1})
    assert made["id"] == thread_id
    again = await me.threads.create(agent_id=agent_id, thread_id=thread_id, if_exists="do_nothing", metadata={"n": 2})
    assert again == made
    for fields in ({}, {"if_exists": "raise"}, {"if_exists": "do_nothing", "agent_id": other_id}):
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await me.threads.create({"agent_id": agent_id, "thread_id": thread_id, **fields})
        assert status_of(error) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_required_field"),
        ({"agent_id": "x"}, "invalid_request_body"),
        ({"agent_id": str(uuid4())}, "agent_not_found"),
        ({"thread_id": "x"}, "invalid_request_body"),
        ({"if_exists": "maybe"}, "invalid_request_body"),
        ({"options": {"test_run": "yes"}}, "invalid_request_body"),
    ],
)
async def test_create_refuses(me: Party, body: dict[str, Any], code: str) -> None:
    agent_id = await me.agent()
    given = body if not body or "agent_id" in body else {"agent_id": agent_id, **body}
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await me.threads.create(given)
    assert status_of(error) == (400, code)


async def test_get_after_a_run(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    assert "title" not in await me.threads.get(thread["id"])
    await me.ran(thread, "Hello   there\nfriend")
    found = await me.threads.get(thread["id"])
    assert found["title"] == "Hello there friend"
    assert (found["id"], found["thread_id"]) == (thread["id"], thread["id"])
    assert found["values"]["messages"][0]["content"] == "Hello   there\nfriend"
    assert (found["status"], found["has_interrupts"], found["interrupts"]) == ("idle", False, {})
    assert found["metadata"]["read_status"] is False
    assert found["metadata"]["assistant_id"] == thread["agent_id"]
    assert found["state_updated_at"] > thread["updated_at"]
    await me.ran(thread, "And now?")
    [listed] = (await me.threads.list(agent_id=thread["agent_id"]))["threads"]
    assert listed["title"] == "Hello there friend"


async def test_a_pause_is_shown(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    await me.ran(thread, REMEMBER)
    found = await me.threads.get(thread["id"])
    assert (found["status"], found["has_interrupts"]) == ("interrupted", True)
    [[pending]] = found["interrupts"].values()
    assert pending["value"]["action_requests"]


async def test_unknown_ids(me: Party) -> None:
    for thread_id in ("missing", str(uuid4())):
        for call in (me.threads.get(thread_id), me.threads.update(thread_id, title="x")):
            with pytest.raises(ManagedDeepAgentsAPIError) as error:
                await call
            assert status_of(error) == (404, "thread_not_found")
        assert await me.threads.delete(thread_id) is None


async def test_threads_of_the_agent_server_are_no_agents(me: Party) -> None:
    """ "Deep-agent threads only" (MDA 16)."""
    thread_id = (await me.sdk.threads.create())["thread_id"]
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await me.threads.get(thread_id)
    assert error.value.status_code == 404
    await me.threads.delete(thread_id)
    assert (await me.sdk.threads.get(thread_id))["thread_id"] == thread_id
    assert await me.threads.search() == []
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await me.threads.create(agent_id=await me.agent(), thread_id=thread_id, if_exists="do_nothing")
    assert error.value.status_code == 409


async def test_delete(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    await me.ran(thread, "Hello")
    await me.threads.delete(thread["id"])
    await me.threads.delete(thread["id"])
    with pytest.raises(ManagedDeepAgentsAPIError):
        await me.threads.get(thread["id"])
    assert await me.sdk.threads.search() == []


async def test_threads_outlive_their_agent(me: Party) -> None:
    agent_id = await me.agent()
    thread = await me.threads.create(agent_id=agent_id)
    await me.ran(thread, "Hello")
    await me.agents.delete(agent_id)
    assert (await me.threads.get(thread["id"]))["values"]["messages"]
    assert [each["id"] for each in (await me.threads.list(agent_id=agent_id))["threads"]] == [thread["id"]]
    assert [each["id"] for each in await me.threads.search()] == [thread["id"]]
    assert await me.threads.count(agent_id=agent_id) == {"attention_count": 1}
    assert (await me.threads.update(thread["id"], title="Old"))["title"] == "Old"
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await me.threads.create(agent_id=agent_id)
    assert status_of(error) == (400, "agent_not_found")
    await me.threads.delete(thread["id"])


async def test_search(me: Party) -> None:
    first, second = await me.agent(), await me.agent()
    made = [await me.threads.create(agent_id=first, metadata={"n": n, "team": "x"}) for n in range(3)]
    other = await me.threads.create(agent_id=second, metadata={"team": "x"})
    await me.sdk.threads.create(metadata={"team": "x", "ls_user_id": made[0]["metadata"]["ls_user_id"]})
    found = await me.threads.search()
    assert [each["id"] for each in found] == [other["id"], *(each["id"] for each in reversed(made))]
    assert [each["thread_id"] for each in found] == [each["id"] for each in found]
    assert {each["agent_id"] for each in found} == {first, second}
    by_number = await me.threads.search(metadata={"team": "x", "n": 1})
    assert [each["id"] for each in by_number] == [made[1]["id"]]
    assert by_number[0]["metadata"]["read_status"] is True
    of_agent = await me.threads.search(
        metadata={"assistant_id": first}, sort_by="created_at", sort_order="asc", limit=2
    )
    assert [each["id"] for each in of_agent] == [made[0]["id"], made[1]["id"]]
    assert await me.threads.search(metadata={"ls_user_id": "somebody"}) == []
    assert await me.threads.search(select=["thread_id"], ids=[other["id"]]) == [{"thread_id": other["id"]}]
    extracted = await me.threads.search(select=["thread_id"], ids=[made[0]["id"]], extract={"number": "metadata.n"})
    assert extracted == [{"thread_id": made[0]["id"], "extracted": {"number": 0}}]
    await me.ran(other, "Hello")
    assert [each["title"] for each in await me.threads.search(metadata={"read_status": False})] == ["Hello"]
    for sort_by in ("thread_id", "status", "updated_at", "state_updated_at"):
        assert len(await me.threads.search(metadata={"team": "x"}, sort_by=sort_by, status="idle")) == 4
    for body, status in (({"limit": 0}, 400), ({"status": "x"}, 422), ({"metadata": {"read_status": "x"}}, 422)):
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await me.threads.search(body)
        assert error.value.status_code == status


async def test_count_as_the_agent_server_does(me: Party) -> None:
    agent_id = await me.agent()
    for n in range(3):
        await me.threads.create(agent_id=agent_id, metadata={"odd": n % 2 == 1})
    await me.sdk.threads.create(metadata={"odd": True})
    for body, expected in (
        ({}, 3),
        ({"metadata": {"odd": False}}, 2),
        ({"status": "idle"}, 3),
        ({"status": "error"}, 0),
    ):
        assert (await me.http.post(f"{BASE}/threads/count", json=body)).json() == expected


async def test_the_alias_is_the_same(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent())
    found: httpx.Response = await me.http.get(f"/v1/fleet/threads/{thread['id']}")
    assert found.json()["id"] == thread["id"]
