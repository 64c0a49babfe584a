"""Every revision is kept, and none is lost to a race."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from managed_deepagents import AsyncClient
from sqlalchemy import Connection, func, select
from starlette.applications import Starlette

from tests.deepagents.conftest import BASE
from waystation.storage.tables import deep_agent_files, deep_agent_revisions, deep_agent_shares


@pytest.fixture
async def agent(client: AsyncClient) -> dict[str, Any]:
    made: dict[str, Any] = await client.agents.create(name="a", system_prompt="one", files={"kept": "same"})
    return made


async def test_going_back(http: httpx.AsyncClient, client: AsyncClient, agent: dict[str, Any]) -> None:
    path = f"{BASE}/agents/{agent['id']}/revisions"
    changed = await client.agents.update(agent["id"], system_prompt="two", deleted_paths=["kept"])
    listed = (await http.get(path)).json()
    assert [each["revision"] for each in listed["items"]] == [changed["revision"], agent["revision"]]
    assert [each["is_current"] for each in listed["items"]] == [True, False]
    assert listed["items"][1]["paths"] == ["AGENTS.md", "kept"]
    assert listed["items"][1]["created_by"] == agent["owner_id"]
    old = (await http.get(f"{path}/{agent['revision']}")).json()
    assert old["files"]["AGENTS.md"]["content"] == "one"
    restored = (await http.post(f"{path}/{agent['revision']}/restore")).json()
    assert (restored["revision"], restored["system_prompt"]) == (agent["revision"], "one")
    assert await client.agents.get(agent["id"]) == restored
    assert [each["number"] for each in (await http.get(path)).json()["items"]] == [3, 2, 1]
    unknown = await http.post(f"{path}/{'0' * 64}/restore")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "revision_not_found")
    assert (await http.get(f"{path}/x")).status_code == 404


async def test_pages_of_revisions(http: httpx.AsyncClient, client: AsyncClient, agent: dict[str, Any]) -> None:
    for number in range(4):
        await client.agents.update(agent["id"], system_prompt=f"prompt {number}")
    path, numbers, cursor = f"{BASE}/agents/{agent['id']}/revisions", [], ""
    while cursor is not None:
        page = (await http.get(path, params={"page_size": 2, "cursor": cursor})).json()
        numbers.append([each["number"] for each in page["items"]])
        cursor = page["next_cursor"]
    assert numbers == [[5, 4], [3, 2], [1]]
    assert (await http.get(path, params={"cursor": "x"})).status_code == 400


async def test_the_same_tree_is_the_same_revision(client: AsyncClient, agent: dict[str, Any], app: Starlette) -> None:
    same = await client.agents.update(agent["id"], system_prompt="one")
    assert same["revision"] == agent["revision"]
    assert (await client.agents.create(name="b", system_prompt="one", files={"kept": "same"}))["revision"] == same[
        "revision"
    ]
    assert (await client.agents.create(name="c", system_prompt="one"))["revision"] != same["revision"]

    def stored(conn: Connection) -> tuple[int, int]:
        counts = [
            conn.execute(select(func.count()).where(table.c.agent_id == agent["id"])).scalar_one()
            for table in (deep_agent_revisions, deep_agent_files)
        ]
        return counts[0], counts[1]

    assert await app.state.server.db.read(stored) == (1, 2)
    await client.agents.update(agent["id"], system_prompt="two")
    assert await app.state.server.db.read(stored) == (2, 3)


async def test_changes_at_the_same_time_are_all_made(client: AsyncClient, agent: dict[str, Any]) -> None:
    await asyncio.gather(
        *(client.agents.update(agent["id"], files={f"f{number}": str(number)}) for number in range(3)),
        client.agents.update(agent["id"], description="d"),
    )
    found = await client.agents.get(agent["id"], include_files=True)
    assert set(found["files"]) == {"AGENTS.md", "kept", "f0", "f1", "f2"}
    assert found["description"] == "d"


async def test_nothing_is_left_of_a_deleted_agent(client: AsyncClient, agent: dict[str, Any], app: Starlette) -> None:
    await client.agents.update(agent["id"], system_prompt="two", permissions={"shared_users": {"read": ["bob"]}})
    await client.agents.delete(agent["id"])

    def left(conn: Connection) -> list[int]:
        tables = (deep_agent_revisions, deep_agent_files, deep_agent_shares)
        return [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

    assert await app.state.server.db.read(left) == [0, 0, 0]


async def test_deploying_again_through_the_hub(
    http: httpx.AsyncClient, client: AsyncClient, agent: dict[str, Any]
) -> None:
    path = f"/v1/platform/hub/repos/-/{agent['id']}/directories"
    directory = (await http.get(path)).json()
    assert directory["commit_hash"] == agent["revision"]
    assert directory["files"]["AGENTS.md"] == {"type": "file", "content": "one"}
    files = {"AGENTS.md": {"type": "file", "content": "two"}, "kept": None, "never/there": None}
    body = {"files": files, "parent_commit": directory["commit_hash"]}
    committed = await http.post(f"{path}/commits", json=body)
    assert committed.status_code == 201
    found = await client.agents.get(agent["id"], include_files=True)
    assert (found["system_prompt"], set(found["files"])) == ("two", {"AGENTS.md"})
    assert committed.json() == {"commit_hash": found["revision"]}
    stale = await http.post(f"{path}/commits", json=body)
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    wrong = await http.post(f"{path}/commits", json={"files": {"../x": None}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "validation_error")
    assert (await http.get(path.replace(agent["id"], "nobody"))).json()["code"] == "agent_not_found"
