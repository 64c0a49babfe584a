"""A server with agents on the demo model, its clients, and the ways in which tests use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from managed_deepagents import AsyncClient
from starlette.applications import Starlette

from tests.conftest import connected, served
from tests.deepagents.conftest import BASE, contractual

__all__ = ["Desk", "words"]

GATED = {"tools": [], "interrupt_config": {"write_file": True}}
"""The ``tools`` of an agent that asks before it writes files."""


def words(text: str) -> list[Mapping[str, Any]]:
    """What a user says."""
    return [{"role": "user", "content": text}]


@dataclass
class Desk:
    """One user's way to work with agents."""

    http: httpx.AsyncClient
    managed: AsyncClient
    """The vendor's client."""
    sdk: LangGraphClient
    """The client of the Agent Server API."""

    async def agent(self, **fields: Any) -> str:
        """The id of a new agent."""
        agent_id: str = (await self.managed.agents.create(**{"name": "clerk", **fields}))["id"]
        return agent_id

    async def thread(self, agent_id: str, **options: Any) -> str:
        """The id of a new thread of the agent."""
        thread_id: str = (await self.managed.threads.create(agent_id=agent_id, options=options))["id"]
        return thread_id

    async def say(self, thread_id: str, agent_id: str, text: str, **more: Any) -> str:
        """What the agent answers; empty while it waits for a person."""
        run = await self.managed.threads.invoke(agent_id=agent_id, thread_id=thread_id, messages=words(text), **more)
        return await self.answer(run)

    async def resume(self, thread_id: str, agent_id: str, *decisions: Any) -> str:
        """The same after a person's decisions."""
        command = {"resume": {"decisions": list(decisions)}}
        run = await self.managed.threads.create_run(thread_id, assistant_id=agent_id, command=command)
        return await self.answer(run)

    async def answer(self, run: dict[str, Any]) -> str:
        """What a run has come to. Fails with an error of the run."""
        path = f"{BASE}/threads/{run['thread_id']}/runs/{run['run_id']}/join"
        result = (await self.http.get(path)).json()
        assert "__error__" not in result, result
        return "" if "__interrupt__" in result else str(result["messages"][-1]["content"])

    async def state(self, thread_id: str) -> dict[str, Any]:
        """The thread's state."""
        found: dict[str, Any] = (await self.http.get(f"{BASE}/threads/{thread_id}/state")).json()
        return found

    async def files(self, thread_id: str) -> dict[str, str]:
        """The contents of the thread's files."""
        files = (await self.state(thread_id))["values"].get("files", {})
        return {path: file["content"] for path, file in files.items()}

    async def status(self, thread_id: str) -> str:
        """The thread's status."""
        status: str = (await self.managed.threads.get(thread_id))["status"]
        return status


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    models = {"once": {"model": "openai:gpt-test", "max_retries": 0}}
    async with served(tmp_path, default_model="demo:chat", models=models, heartbeat_s=0.5) as app:
        yield app


@pytest.fixture
async def http(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Raw HTTP, every answer of which is checked against the contract."""
    async with connected(app) as client:
        client.event_hooks["response"].append(contractual)
        yield client


@pytest.fixture
async def sdk(app: Starlette) -> AsyncIterator[LangGraphClient]:
    async with connected(app) as client:
        yield LangGraphClient(client)


@pytest.fixture
def desk(http: httpx.AsyncClient, sdk: LangGraphClient) -> Desk:
    return Desk(http, AsyncClient(api_url="http://waystation", http_client=http), sdk)
