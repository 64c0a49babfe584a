"""Lists of an agent's threads, and what requires attention (MDA 9.3, 9.4)."""

from __future__ import annotations

from typing import Any

import pytest
from managed_deepagents import ManagedDeepAgentsAPIError

from tests.deepagents.threads.conftest import BASE, Party


async def ids_of(me: Party, agent_id: str, **query: Any) -> list[str]:
    page = await me.threads.list(agent_id=agent_id, **query)
    return [thread["id"] for thread in page["threads"]]


async def test_pages(me: Party) -> None:
    agent_id = await me.agent()
    made = [(await me.threads.create(agent_id=agent_id))["id"] for _ in range(45)]
    await me.threads.create(agent_id=await me.agent())
    seen: list[str] = []
    cursor = None
    sizes = []
    while True:
        page = await me.threads.list(agent_id=agent_id, cursor=cursor)
        sizes.append(len(page["threads"]))
        seen += [thread["id"] for thread in page["threads"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sizes == [20, 20, 5]
    assert seen == made[::-1]


async def test_newest_activity_first(me: Party) -> None:
    agent_id = await me.agent()
    first, second = [await me.threads.create(agent_id=agent_id) for _ in range(2)]
    await me.threads.update(first["id"], title="no activity")
    assert await ids_of(me, agent_id) == [second["id"], first["id"]]
    await me.ran(first, "Hello")
    assert await ids_of(me, agent_id) == [first["id"], second["id"]]


async def test_filters(me: Party) -> None:
    agent_id = await me.agent()
    new, read, unread, paused, pinned = [await me.threads.create(agent_id=agent_id) for _ in range(5)]
    test = await me.threads.create(agent_id=agent_id, options={"test_run": True})
    for thread, text in ((read, "Hello"), (unread, "Hello"), (paused, "remember this"), (test, "Hello")):
        await me.ran(thread, text)
    await me.threads.update(read["id"], metadata={"read_status": True})
    await me.threads.update(pinned["id"], metadata={"is_pinned": True})
    expected: list[tuple[dict[str, Any], list[Any]]] = [
        ({}, [paused, unread, read, pinned, new]),
        ({"status": "idle"}, [unread, read, pinned, new]),
        ({"status": "interrupted"}, [paused]),
        ({"status": "busy"}, []),
        ({"is_pinned": True}, [pinned]),
        ({"is_pinned": False}, [paused, unread, read, new]),
        ({"test_run": True}, [test]),
        ({"test_run": False}, [paused, unread, read, pinned, new]),
        ({"requires_attention": True}, [paused, unread]),
        ({"requires_attention": True, "test_run": True}, []),
        ({"requires_attention": False}, [paused, unread, read, pinned, new]),
        ({"requires_attention": False, "status": "interrupted"}, [paused]),
    ]
    for query, threads in expected:
        assert await ids_of(me, agent_id, **query) == [thread["id"] for thread in threads], query
        first = await me.threads.list(agent_id=agent_id, page_size=1, **query)
        if len(threads) > 1:
            rest = await ids_of(me, agent_id, cursor=first["next_cursor"], **query)
            assert rest == [thread["id"] for thread in threads[1:]], query
    assert await me.threads.count(agent_id=agent_id) == await me.threads.count() == {"attention_count": 2}
    await me.threads.update(test["id"], metadata={"is_test_run": False})
    assert await me.threads.count() == {"attention_count": 3}
    await me.ran(read, "Again")
    assert await me.threads.count() == {"attention_count": 4}
    assert await me.threads.count(agent_id=await me.agent()) == {"attention_count": 0}


async def test_a_failed_run_requires_attention(me: Party) -> None:
    thread = await me.threads.create(agent_id=await me.agent(runtime={"model": {"model_id": "demo:unknown"}}))
    await me.ran(thread, "Hello")
    assert (await me.threads.get(thread["id"]))["status"] == "error"
    await me.threads.update(thread["id"], metadata={"read_status": True})
    assert await me.threads.count() == {"attention_count": 1}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"agent_id": "x"},
        {"page_size": "21"},
        {"page_size": "0"},
        {"status": "done"},
        {"is_pinned": "perhaps"},
        {"status": "idle", "requires_attention": "true"},
        {"cursor": "x"},
        {"cursor": "W10"},
    ],
)
async def test_bad_queries(me: Party, query: dict[str, str]) -> None:
    agent_id = await me.agent()
    given = query if not query or "agent_id" in query else {"agent_id": agent_id, **query}
    response = await me.http.get(f"{BASE}/threads", params=given)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


async def test_a_cursor_is_of_one_list(me: Party) -> None:
    agent_id = await me.agent()
    for _ in range(2):
        await me.threads.create(agent_id=agent_id)
    cursor = (await me.threads.list(agent_id=agent_id, page_size=1))["next_cursor"]
    for change in ({"status": "idle"}, {"agent_id": await me.agent()}, {"test_run": True}):
        with pytest.raises(ManagedDeepAgentsAPIError, match="made for others"):
            await me.threads.list(**{"agent_id": agent_id, "cursor": cursor, **change})
