"""The life of a deep agent, as its users see it: made, run, asked, taught, changed, deleted.

Read it from top to bottom. The model is ``demo:chat``, which follows instructions and needs no key; the tool is one of a real MCP
server; the client is the vendor's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from managed_deepagents import Client, ManagedDeepAgentsAPIError

from tests.conftest import project_config
from tests.deepagents.mcp_servers.remote import RemoteServer
from tests.live import LiveServer, listening
from waystation.app import create_app


@pytest.fixture
def calculator() -> Iterator[RemoteServer]:
    """An MCP server with the tool ``add``, which wants to know who calls."""
    server = RemoteServer("a-secret").start()
    yield server
    server.stop()


@pytest.fixture
def waystation(tmp_path: Path) -> Iterator[LiveServer]:
    settings: dict[str, Any] = {"default_model": "demo:chat", "allow_private_urls": True, "secret_keys": ("k" * 32,)}
    with listening(create_app(project_config(tmp_path, **settings))) as server:
        yield server


def test_the_life_of_an_agent(waystation: LiveServer, calculator: RemoteServer) -> None:
    with Client(api_url=waystation.url) as client:
        # Where the tool is, and what it takes to call it. The agent's definition knows the address alone.
        client.mcp_servers.create(
            name="calculator", url=calculator.url, headers=[{"key": "Authorization", "value": "Bearer a-secret"}]
        )

        # An agent is a small tree of files: a prompt, a skill, a subagent, and a tool that a person has to approve.
        agent = client.agents.create(
            name="bookkeeper",
            system_prompt="You keep the books.",
            skills=[{"name": "report", "description": "How to report", "instructions": "A report has three lines."}],
            subagents=[{"name": "archivist", "description": "Keeps files", "instructions": "File it."}],
            tools={
                "tools": [{"name": "add", "mcp_server_url": calculator.url}],
                "interrupt_config": {f"{calculator.url}::add": True},
            },
        )
        assert client.agents.health(agent["id"])["mcp_check"]["ok"] is True
        thread = client.threads.create(agent_id=agent["id"])["id"]

        def say(text: str, on: str = thread) -> str:
            """What the agent answers; what it waits for, if it does."""
            return last(client.threads.stream(on, agent_id=agent["id"], messages=[{"role": "user", "content": text}]))

        def decide(*decisions: dict[str, Any], on: str = thread) -> str:
            command = {"resume": {"decisions": list(decisions)}}
            return last(client.threads.stream(on, agent_id=agent["id"], messages=[], command=command))

        # It uses its skill, and it delegates.
        assert "A report has three lines." in say("skill report")
        say("ask archivist: write books.md: nothing yet")
        assert "nothing yet" in say("read books.md")

        # It asks before it calls the tool. The thread waits, for as long as it takes, and so somebody's attention is called for.
        assert say('call add {"a": 1, "b": 2}') == "waits for add(a=1, b=2)"
        assert client.threads.count(agent_id=agent["id"]) == {"attention_count": 1}
        assert calculator.asked("tools/call") == []
        assert "add: 3" in decide({"type": "approve"})

        # The one who is asked may have other arguments, or none of it.
        assert say('call add {"a": 1, "b": 2}') == "waits for add(a=1, b=2)"
        changed = {"name": "add", "args": {"a": 20, "b": 22}}
        assert "42" in decide({"type": "edit", "edited_action": changed})
        assert say('call add {"a": 1, "b": 2}') == "waits for add(a=1, b=2)"
        assert "not that" in decide({"type": "reject", "message": "not that"})
        assert len(calculator.asked("tools/call")) == 2

        # An answer that does not fit is refused, and the thread goes on waiting.
        assert say('call add {"a": 1, "b": 2}') == "waits for add(a=1, b=2)"
        with pytest.raises(ManagedDeepAgentsAPIError, match="has 2, but 1 calls wait") as refused:
            decide({"type": "approve"}, {"type": "approve"})
        assert refused.value.status_code == 422
        assert client.threads.get(thread)["status"] == "interrupted"
        client.threads.resolve_interrupt(thread)  # nobody wants to know any more
        assert client.threads.get(thread)["status"] == "idle"

        # What it is to remember is asked about as well. Then it knows that on every thread.
        assert say("remember the year ends in June").startswith("waits for write_file")
        decide({"type": "approve"})
        another = client.threads.create(agent_id=agent["id"])["id"]
        assert "the year ends in June" in say("What do you remember?", on=another)

        # A change is a new revision, which the next run uses.
        updated = client.agents.update(agent["id"], skills=[], files={"notes.md": "Since 1494."})
        assert updated["revision"] != agent["revision"]
        assert "I have no skill report" in say("skill report")
        assert "Since 1494." in say("read notes.md")
        assert "the year ends in June" in say("What do you remember?")

        # Without the agent its threads can be read, and not run.
        client.agents.delete(agent["id"])
        assert client.threads.get(thread)["title"] == "skill report"
        with pytest.raises(ManagedDeepAgentsAPIError) as gone:
            say("Hello?")
        assert (gone.value.status_code, gone.value.code) == (502, "upstream_auth_failed")


def last(events: Any) -> str:
    """What a stream of states comes to."""
    *_, event = events
    assert event.event == "values", event
    if "__interrupt__" in event.data:
        [request] = event.data["__interrupt__"][0]["value"]["action_requests"]
        arguments = ", ".join(f"{name}={value}" for name, value in request["args"].items())
        return f"waits for {request['name']}({arguments})"
    return str(event.data["messages"][-1]["content"])
