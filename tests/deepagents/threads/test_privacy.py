"""A thread of an agent is its owner's alone, by either API and whoever shares the workspace (MDA 2, 9)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from managed_deepagents import ManagedDeepAgentsAPIError

from tests.deepagents.threads.conftest import BASE, Party, parties, said

BODIES: dict[str, Any] = {
    "/threads/{thread_id}/state": {"values": {"messages": []}},
    "/threads/{thread_id}/state/checkpoint": {"checkpoint": {"thread_id": "{thread_id}", "checkpoint_ns": ""}},
    "/threads/{thread_id}/runs": {"assistant_id": "{agent_id}", "input": said("Hi"), "if_not_exists": "create"},
    "/threads/{thread_id}/runs/wait": {"assistant_id": "{agent_id}", "input": said("Hi"), "if_not_exists": "create"},
    "/threads/{thread_id}/runs/stream": {"assistant_id": "{agent_id}", "input": said("Hi"), "if_not_exists": "create"},
    "/threads/{thread_id}/runs/crons": {"assistant_id": "{agent_id}", "schedule": "0 0 1 1 *", "input": said("Hi")},
    f"{BASE}/threads/{{thread_id}}/runs": {"agent_id": "{agent_id}", "input": said("Hi")},
    f"{BASE}/threads/{{thread_id}}/runs/stream": {"agent_id": "{agent_id}", "input": said("Hi")},
}

RUNNABLE = {"permissions": {"visibility": "tenant", "tenant_access_level": "write"}}


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[dict[str, Party]]:
    async with parties(tmp_path) as found:
        yield found


async def operations(party: Party) -> Iterator[tuple[str, str]]:
    """The method and path of everything that can be done with one thread or run; deletions last."""
    paths = (await party.http.get("/openapi.json")).json()["paths"]
    found = [
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if re.search(r"{(thread_id|run_id)}", path)
    ]
    return iter(sorted(found, key=lambda each: each[0] == "delete"))


def filled(template: Any, ids: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {key: filled(value, ids) for key, value in template.items()}
    return (
        re.sub(r"{(\w+)}", lambda found: ids.get(found[1], found[0]), template)
        if isinstance(template, str)
        else template
    )


async def test_nothing_can_be_done_with_somebody_elses_thread(users: dict[str, Party]) -> None:
    ann = users["ann"]
    agent_id = await ann.agent(**RUNNABLE)
    thread = await ann.threads.create(agent_id=agent_id, metadata={"secret": "s"})
    await ann.ran(thread, "remember the secret")
    [run] = await ann.sdk.runs.list(thread["id"])
    state: Any = await ann.sdk.threads.get_state(thread["id"])
    ids = {"thread_id": thread["id"], "run_id": run["run_id"], "agent_id": agent_id}
    ids["checkpoint_id"] = state["checkpoint"]["checkpoint_id"]
    before = await ann.threads.get(thread["id"])
    tried = 0
    for method, path in await operations(ann):
        body = {} if method == "get" else {"json": filled(BODIES.get(path, {}), ids)}
        if path.endswith("/runs/crons") or (method == "post" and path == "/threads/{thread_id}/copy"):
            expected = {404, 409}
        else:
            expected = {404, 204} if (method, path) == ("delete", f"{BASE}/threads/{{thread_id}}") else {404}
        for name in ("ben", "service", "elsewhere"):
            other = users[name]
            answer = await other.http.request(method, filled(path, ids), **body)
            in_stream = answer.status_code == 200 and re.search(r'"message":"404: (Thread|Run) not found"', answer.text)
            assert in_stream or answer.status_code in expected, (name, method, path, answer.status_code, answer.text)
            assert "secret" not in answer.text
        tried += 1
    assert tried > 20
    assert await ann.threads.get(thread["id"]) == before
    assert [each["run_id"] for each in await ann.sdk.runs.list(thread["id"])] == [run["run_id"]]


async def test_nobody_else_finds_it(users: dict[str, Party]) -> None:
    ann = users["ann"]
    agent_id = await ann.agent(**RUNNABLE)
    thread = await ann.threads.create(agent_id=agent_id, metadata={"team": "x"})
    await ann.ran(thread, "Hello")
    ordinary = (await ann.sdk.threads.create(metadata={"team": "x"}))["thread_id"]
    expected = {"ann": {thread["id"], ordinary}, "ben": {ordinary}, "service": {ordinary}, "elsewhere": set[str]()}
    for name, seen in expected.items():
        party = users[name]
        for query in ({}, {"metadata": {"team": "x"}}, {"ids": [thread["id"], ordinary]}, {"sort_by": "updated_at"}):
            assert {each["thread_id"] for each in await party.sdk.threads.search(**query)} == seen, (name, query)
        assert await party.sdk.threads.count() == len(seen)
        assert await party.sdk.threads.count(metadata={"team": "x"}) == len(seen)
        own = [thread["id"]] if name == "ann" else []
        assert [each["id"] for each in (await party.threads.list(agent_id=agent_id))["threads"]] == own
        assert [each["id"] for each in await party.threads.search()] == own
        assert await party.threads.search(metadata={"ls_user_id": thread["metadata"]["ls_user_id"]}) == (
            await party.threads.search()
        )
        assert await party.threads.count() == {"attention_count": len(own)}
        assert (await party.http.post(f"{BASE}/threads/count", json={})).json() == len(own)
    answer = await users["ben"].threads.bulk_update(thread_ids=[thread["id"]], data={"title": "mine"})
    assert answer["results"][0]["error_code"] == "thread_not_found"


async def test_its_id_cannot_be_taken(users: dict[str, Party]) -> None:
    agent_id = await users["ann"].agent(**RUNNABLE)
    thread = await users["ann"].threads.create(agent_id=agent_id)
    for if_exists in ("raise", "do_nothing"):
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await users["ben"].threads.create(agent_id=agent_id, thread_id=thread["id"], if_exists=if_exists)
        assert error.value.status_code == 409
        body = {"thread_id": thread["id"], "if_exists": if_exists}
        assert (await users["ben"].http.post("/threads", json=body)).status_code == 409
    assert (await users["ben"].http.post("/threads/prune", json={"thread_ids": [thread["id"]]})).status_code == 404
    assert await users["ann"].threads.get(thread["id"])


async def test_the_owner_of_an_agent_does_not_see_threads_on_it(users: dict[str, Party]) -> None:
    agent_id = await users["ann"].agent(**RUNNABLE)
    thread = await users["ben"].threads.create(agent_id=agent_id)
    with pytest.raises(ManagedDeepAgentsAPIError) as error:
        await users["ann"].threads.get(thread["id"])
    assert error.value.status_code == 404
    assert (await users["ann"].threads.list(agent_id=agent_id))["threads"] == []
    await users["ann"].agents.update(agent_id, permissions={"visibility": "user"})
    assert (await users["ben"].threads.get(thread["id"]))["agent_id"] == agent_id


async def test_who_may_make_threads(users: dict[str, Party]) -> None:
    for permissions, status in (
        ({"visibility": "user"}, 400),
        ({"visibility": "tenant", "tenant_access_level": "read"}, 403),
        ({"visibility": "tenant", "tenant_access_level": "run"}, None),
        ({"visibility": "user", "shared_users": {"run": ["ben"]}}, None),
    ):
        agent_id = await users["ann"].agent(permissions=permissions)
        if status is None:
            assert (await users["ben"].threads.create(agent_id=agent_id))["agent_id"] == agent_id
            continue
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await users["ben"].threads.create(agent_id=agent_id)
        assert error.value.status_code == status


async def test_crons_of_an_agent_are_seen_by_who_may_read_it(users: dict[str, Party]) -> None:
    for permissions, seen in (({"visibility": "user"}, 0), ({"visibility": "tenant"}, 1)):
        agent_id = await users["ann"].agent(permissions=permissions)
        cron: Any = await users["ann"].sdk.crons.create(agent_id, schedule="0 0 1 1 *", input=said("Hello"))
        path = f"/runs/crons/{cron['cron_id']}"
        for name, expected in (("ann", 1), ("ben", seen)):
            party = users[name]
            assert len(await party.sdk.crons.search(assistant_id=agent_id)) == expected
            assert (await party.http.get(path)).status_code == (200 if expected else 404)
            if not expected:
                assert (await party.http.patch(path, json={"enabled": False})).status_code == 404
                assert (await party.http.delete(path)).status_code == 404


async def test_an_assistant_is_seen_by_who_may_read_the_agent(users: dict[str, Party]) -> None:
    ann, ben, service = users["ann"], users["ben"], users["service"]
    private = await ann.agent(name="private", permissions={"visibility": "user"})
    shared = await ann.agent(name="shared", permissions={"visibility": "user", "shared_users": {"read": ["ben"]}})
    public = await ann.agent(name="public")
    expected = {"ann": {private, shared, public}, "ben": {shared, public}, "service": {public}}
    for name, seen in expected.items():
        sdk = users[name].sdk
        query: Any = {"graph_id": "managed-deep-agent"}
        assert {each["assistant_id"] for each in await sdk.assistants.search(**query)} == seen, name
        assert await sdk.assistants.count(**query) == len(seen)
    for party, agent_id in ((ben, private), (service, private), (service, shared)):
        for path in ("", "/graph", "/schemas", "/subgraphs"):
            assert (await party.http.get(f"/assistants/{agent_id}{path}")).status_code == 404
        assert (await party.http.post(f"/assistants/{agent_id}/versions", json={})).status_code == 404
        body = {"assistant_id": agent_id, "input": said("Hi")}
        assert (await party.http.post("/runs/wait", json=body)).status_code == 404
        assert (await party.http.patch(f"/assistants/{agent_id}", json={"name": "x"})).status_code in (404, 409)
    assert (await ben.sdk.assistants.get(shared))["name"] == "shared"
