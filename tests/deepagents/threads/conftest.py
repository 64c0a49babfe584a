"""A server with agents on the demo model, and its clients: the vendor's, whose answers are checked against the contract, and the
Agent Server's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from managed_deepagents import AsyncClient
from starlette.applications import Starlette

from tests.auth.test_api_keys import by, make_key
from tests.conftest import connected, served
from tests.deepagents.conftest import contractual

__all__ = ["BASE", "Party", "parties", "said"]

BASE = "/v1/deepagents"

MODEL = "demo:chat"


def said(text: str) -> Any:
    """The input of a run."""
    return {"messages": [{"role": "user", "content": text}]}


@dataclass(frozen=True, slots=True)
class Party:
    """A user, with all clients."""

    http: httpx.AsyncClient

    @property
    def threads(self) -> Any:
        return AsyncClient(api_url="http://waystation", http_client=self.http).threads

    @property
    def agents(self) -> Any:
        return AsyncClient(api_url="http://waystation", http_client=self.http).agents

    @property
    def sdk(self) -> LangGraphClient:
        return LangGraphClient(self.http)

    async def agent(self, **fields: Any) -> str:
        """A new agent's id."""
        agent_id: str = (await self.agents.create({"name": "clerk", **fields}))["id"]
        return agent_id

    async def ran(self, thread: Any, text: str) -> None:
        """Have the thread's agent run on it."""
        await self.sdk.runs.wait(thread["id"], thread["agent_id"], input=said(text), raise_error=False)


@asynccontextmanager
async def _party(app: Starlette, headers: dict[str, str]) -> AsyncIterator[Party]:
    async with connected(app) as http:
        http.headers.update(headers)
        http.event_hooks["response"].append(_checked)
        yield Party(http)


async def _checked(response: httpx.Response) -> None:
    if response.headers.get("content-type", "").startswith("application/json"):
        await contractual(response)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    async with served(tmp_path, default_model=MODEL) as app:
        yield app


@pytest.fixture
async def me(app: Starlette) -> AsyncIterator[Party]:
    """The only user of a server without authentication."""
    async with _party(app, {}) as party:
        yield party


@asynccontextmanager
async def parties(data_dir: Path) -> AsyncIterator[dict[str, Party]]:
    """Ann, Ben and a service of one workspace, and Ann in another one."""
    async with served(data_dir, api_keys=True, default_model=MODEL) as app:
        keys = {
            "ann": await make_key(app, "w", "ann"),
            "ben": await make_key(app, "w", "ben"),
            "service": await make_key(app, "w", None),
            "elsewhere": await make_key(app, "v", "ann"),
        }
        async with (
            _party(app, by(keys["ann"])) as ann,
            _party(app, by(keys["ben"])) as ben,
            _party(app, by(keys["service"])) as service,
            _party(app, by(keys["elsewhere"])) as elsewhere,
        ):
            yield {"ann": ann, "ben": ben, "service": service, "elsewhere": elsewhere}
