"""Every agent is an assistant of the Agent Server API."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.deepagents.runs.conftest import Desk, words
from waystation.reserved import MANAGED_GRAPH

SKILL = {"name": "report", "description": "How to write a report", "instructions": "A report has three lines."}


def said(text: str) -> Any:
    return {"messages": words(text)}


async def test_an_agent_runs_as_an_assistant(desk: Desk) -> None:
    managed, sdk = desk.managed, desk.sdk
    agent = await managed.agents.create(name="clerk", system_prompt="Be brief.", skills=[SKILL])
    thread = (await sdk.threads.create())["thread_id"]
    answer: Any = await sdk.runs.wait(thread, agent["id"], input=said("skill report"))
    assert "A report has three lines." in answer["messages"][-1]["content"]
    state: Any = await sdk.threads.get_state(thread)
    assert state["values"]["messages"][-1] == answer["messages"][-1]
    assert len(await sdk.threads.get_history(thread)) > 2
    stateless: Any = await sdk.runs.wait(None, agent["id"], input=said("Hello"))
    assert "You said: 'Hello'" in stateless["messages"][-1]["content"]


async def test_it_is_listed_and_described(desk: Desk) -> None:
    managed, sdk = desk.managed, desk.sdk
    agent = await managed.agents.create(
        name="clerk",
        description="writes",
        runtime={"model": {"model_id": "openai:gpt-5.5"}},
        skills=[SKILL],
        configurable={"tone": "dry"},
        backend={"type": "sandbox"},
    )
    found = await sdk.assistants.get(agent["id"])
    assert (found["graph_id"], found["name"], found["description"]) == (MANAGED_GRAPH, "clerk", "writes")
    assert found["config"]["configurable"] == {"tone": "dry"}
    assert [each["assistant_id"] for each in await sdk.assistants.search(graph_id=MANAGED_GRAPH)] == [agent["id"]]
    assert agent["id"] in [each["assistant_id"] for each in await sdk.assistants.search(limit=100)]
    drawn = await sdk.assistants.get_graph(agent["id"])
    assert {"model", "tools", "SkillsMiddleware.before_agent"} <= {node["id"] for node in drawn["nodes"]}
    schemas: Any = await sdk.assistants.get_schemas(agent["id"])
    assert "messages" in schemas["input_schema"]["properties"]
    assert await sdk.assistants.get_subgraphs(agent["id"], recurse=True) == {}


async def test_each_change_is_a_version(desk: Desk) -> None:
    managed, sdk = desk.managed, desk.sdk
    agent = await managed.agents.create(name="clerk", configurable={"tone": "dry"})
    await managed.agents.update(agent["id"], name="scribe", system_prompt="Write.")
    await managed.agents.update(agent["id"], configurable={})
    versions = await sdk.assistants.get_versions(agent["id"])
    assert [(each["version"], each["name"], each["config"]) for each in versions] == [
        (3, "scribe", {}),
        (2, "scribe", {"configurable": {"tone": "dry"}}),
        (1, "clerk", {"configurable": {"tone": "dry"}}),
    ]
    copy = await managed.agents.clone(agent["id"])
    assert (await sdk.assistants.get(copy["id"]))["name"] == "scribe (copy)"
    await managed.agents.delete(agent["id"])
    with pytest.raises(NotFoundError):
        await sdk.assistants.get(agent["id"])


async def test_it_is_changed_where_it_was_made(desk: Desk) -> None:
    managed, sdk = desk.managed, desk.sdk
    agent = await managed.agents.create(name="clerk")
    for change in (
        sdk.assistants.update(agent["id"], name="other"),
        sdk.assistants.delete(agent["id"]),
        sdk.assistants.set_latest(agent["id"], 1),
    ):
        with pytest.raises(ConflictError, match=f"/v1/deepagents/agents/{agent['id']}"):
            await change
    assert (await sdk.assistants.get(agent["id"]))["version"] == 1


async def test_the_graph_of_all_agents_is_not_for_others(desk: Desk) -> None:
    sdk = desk.sdk
    with pytest.raises(NotFoundError, match="There is no graph"):
        await sdk.assistants.create(MANAGED_GRAPH)
    with pytest.raises(UnprocessableEntityError, match="Invalid assistant"):
        await sdk.runs.create(None, MANAGED_GRAPH, input=said("Hello"))
