"""What the vendor's client does with agents."""

from __future__ import annotations

from typing import Any

import pytest
from managed_deepagents import AsyncClient, Client, ManagedDeepAgentsAPIError

from tests.deepagents.conftest import EVERYTHING, URL, Connect
from tests.live import LiveServer


async def test_everything_that_is_given_is_given_back(client: AsyncClient) -> None:
    made = await client.agents.create(name=" Ann's ", **EVERYTHING, include_files=True)
    assert made["name"] == "Ann's"
    for field in ("description", "runtime", "backend", "system_prompt", "extras"):
        assert made[field] == EVERYTHING[field], field
    assert made["instructions"] == made["system_prompt"]
    named = {"mcp_server_name": URL, "display_name": "look"}
    assert made["tools"] == {**EVERYTHING["tools"], "tools": [{**EVERYTHING["tools"]["tools"][0], **named}]}
    [subagent] = made["subagents"]
    assert {key: subagent[key] for key in ("name", "description", "model_id", "instructions")} == {
        key: EVERYTHING["subagents"][0][key] for key in ("name", "description", "model_id", "instructions")
    }
    assert [tool["name"] for tool in subagent["tools"]["tools"]] == ["read"]
    assert made["skills"] == [{"type": "inline", **EVERYTHING["skills"][0]}]
    assert set(made["files"]) == {
        "AGENTS.md",
        "tools.json",
        "subagents/reader/AGENTS.md",
        "subagents/reader/tools.json",
        "skills/sums/SKILL.md",
        "skills/sums/scripts/add.py",
        "notes/one.md",
    }
    assert made["files"]["notes/one.md"] == {"type": "file", "content": "first"}
    assert "configurable" not in made
    assert made["permissions"] == {"identity": "personal", "visibility": "tenant", "tenant_access_level": "read"}
    assert (made["access_level"], made["is_owner"]) == ("WRITE", True)
    assert len(made["revision"]) == 64
    assert await client.agents.get(made["id"], include_files=True) == made
    without = {key: value for key, value in made.items() if key != "files"}
    assert await client.agents.get(made["id"], include_files=False) == without


async def test_an_agent_with_nothing_but_a_name(client: AsyncClient) -> None:
    made = await client.agents.create(name="bare")
    absent = {"description", "runtime", "backend", "extras", "system_prompt", "tools", "subagents", "skills", "files"}
    assert not absent & made.keys()
    assert len(made["revision"]) == 64


async def test_an_update_changes_what_it_names(client: AsyncClient) -> None:
    made = await client.agents.create(name="a", **EVERYTHING)
    changed = await client.agents.update(made["id"], description="other", extras={"only": 1})
    assert changed["revision"] == made["revision"]
    assert changed["updated_at"] > made["updated_at"]
    assert {**changed, "updated_at": 0} == {**made, "description": "other", "extras": {"only": 1}, "updated_at": 0}
    changed = await client.agents.update(made["id"], tools={"tools": []}, skills=[], include_files=True)
    assert changed["revision"] != made["revision"]
    assert changed["tools"] == {"tools": []}
    assert "skills" not in changed
    assert not [path for path in changed["files"] if path.startswith("skills/")]
    assert changed["subagents"] == made["subagents"]
    changed = await client.agents.update(made["id"], instructions="older name", system_prompt="newer name")
    assert (changed["instructions"], changed["system_prompt"]) == ("newer name", "newer name")


async def test_a_copy(client: AsyncClient) -> None:
    made = await client.agents.create(name="a", **EVERYTHING, permissions={"visibility": "user"}, include_files=True)
    copy = await client.agents.clone(made["id"], include_files=True)
    assert copy["id"] != made["id"]
    assert copy["name"] == "a (copy)"
    for field in ("files", "runtime", "backend", "revision", "description"):
        assert copy[field] == made[field], field
    assert "extras" not in copy
    assert copy["permissions"]["visibility"] == "tenant"
    named = await client.agents.clone(made["id"], {"name": "b", "permissions": {"visibility": "user"}})
    assert (named["name"], named["permissions"]["visibility"]) == ("b", "user")
    await client.agents.update(made["id"], system_prompt="changed")
    assert (await client.agents.get(copy["id"]))["system_prompt"] == "Be kind.\n"


async def test_deleting_twice(client: AsyncClient) -> None:
    made = await client.agents.create(name="a", system_prompt="x")
    assert await client.agents.delete(made["id"]) is None
    assert await client.agents.delete(made["id"]) is None
    for agent_id in (made["id"], "missing-agent"):
        with pytest.raises(ManagedDeepAgentsAPIError) as refused:
            await client.agents.get(agent_id)
        assert (refused.value.status_code, refused.value.code) == (404, "agent_not_found")


async def test_health_of_an_agent_without_servers(client: AsyncClient) -> None:
    made = await client.agents.create(name="a")
    health = await client.agents.health(made["id"])
    assert (health["agent_id"], health["mcp_check"]) == (made["id"], {"ok": True, "servers": []})


@pytest.mark.parametrize(
    "base", ["http://waystation/v1", "http://waystation/v1/deepagents/", "http://waystation/v1/fleet"]
)
async def test_both_base_paths_lead_to_the_same_agents(connect: Connect, client: AsyncClient, base: str) -> None:
    made = await client.agents.create(name="a")
    other = connect(base)
    assert await other.agents.get(made["id"]) == made
    assert [each["id"] for each in (await other.agents.list())["items"]] == [made["id"]]


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"model": "openai:x"}, {"model_id": "openai:x"}),
    ({"model": {"id": "openai:x"}}, {"model_id": "openai:x"}),
    ({"runtime": {"model": {"model_id": "openai:named"}}}, {"model_id": "openai:named"}),
    ({"runtime": {"model": {"id": "openai:x"}}, "model": "openai:y"}, {"model_id": "openai:x"}),
]


@pytest.mark.parametrize(("given", "model"), SPELLINGS)
async def test_spellings_of_the_model(client: AsyncClient, given: dict[str, Any], model: dict[str, Any]) -> None:
    assert (await client.agents.create(name="a", **given))["runtime"] == {"model": model}


BACKENDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "default"}, {"type": "state"}),
    ({"type": "sandbox"}, {"type": "sandbox", "sandbox_config": {"scope": "thread"}}),
    ({"type": "thread_scoped_sandbox"}, {"type": "sandbox", "sandbox_config": {"scope": "thread"}}),
    (
        {"type": "agent_scoped_sandbox", "sandbox": {"snapshot_id": "a"}, "sandbox_config": {"snapshot_id": "b"}},
        {"type": "sandbox", "sandbox_config": {"scope": "agent", "snapshot_id": "b"}},
    ),
]


@pytest.mark.parametrize(("given", "backend"), BACKENDS)
async def test_spellings_of_the_backend(client: AsyncClient, given: dict[str, Any], backend: dict[str, Any]) -> None:
    assert (await client.agents.create(name="a", backend=given))["backend"] == backend


def test_the_blocking_client(live_server: LiveServer) -> None:
    with Client(api_url=live_server.url, api_key="whatever") as client:
        made = client.agents.create(name="blocking", **EVERYTHING, user_timezone="Europe/Berlin")
        assert client.agents.get(made["id"]) == made
        changed = client.agents.update(made["id"], name="renamed")
        assert client.agents.list(name="RENAM")["items"][0]["name"] == changed["name"] == "renamed"
        copy = client.agents.clone(made["id"])
        assert copy["revision"] == made["revision"]
        bare = client.agents.create(name="bare")
        assert client.agents.health(bare["id"])["mcp_check"]["ok"] is True
        for agent_id in (made["id"], copy["id"], bare["id"]):
            assert client.agents.delete(agent_id) is None
        with pytest.raises(ManagedDeepAgentsAPIError) as refused:
            client.agents.get(made["id"])
        assert refused.value.code == "agent_not_found"
