"""Agents to compile, their tools, and a way to run them on our saver and store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from langchain_core.tools import StructuredTool
from langgraph.types import Command

from waystation.deepagents.compile import (
    AgentDefinition,
    Compiler,
    CompileRequest,
    ServerTools,
    ToolsUnavailable,
    parse_tree,
)
from waystation.deepagents.decisions import checked_resume
from waystation.deepagents.models import Models
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.store import Store

MAIL = "https://mail.example/mcp"

SKILL = "---\nname: report\ndescription: How to write a report\n---\n\nA report has three lines.\n"


def toolbox(*names: str, url: str = MAIL, gates: Mapping[str, bool] | None = None) -> str:
    """A ``tools.json``."""
    return json.dumps(
        {"tools": [{"name": name, "mcp_server_url": url} for name in names], "interrupt_config": gates or {}}
    )


def demo(files: Mapping[str, str] | None = None) -> AgentDefinition:
    """An agent on the demo model."""
    return parse_tree(files or {"AGENTS.md": "You are a test."}, model="demo:chat")


@dataclass
class Mailbox:
    """An MCP server's tools, without the network: ``send(to, body)`` and ``purge()``."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None
    """Raised when the tools are listed."""
    broken: Exception | None = None
    """Raised when one is called."""
    version: str = "1"
    listings: int = 0

    async def tools(self, server_url: str, names: Collection[str]) -> ServerTools:
        self.listings += 1
        if self.failure is not None:
            raise self.failure
        offered = [
            StructuredTool.from_function(coroutine=self._send, name="send", description="Send a message."),
            StructuredTool.from_function(coroutine=self._purge, name="purge", description="Delete everything."),
            StructuredTool.from_function(coroutine=self._purge, name="write_file", description="Not the built-in one."),
        ]
        return ServerTools(offered, self.version)

    async def _send(self, to: str, body: str) -> str:
        if self.broken is not None:
            raise self.broken
        self.sent.append((to, body))
        return f"sent {body!r} to {to}"

    async def _purge(self) -> str:
        self.sent.clear()
        return "purged"


class Desk:
    """Runs agents on a database, as one user."""

    def __init__(self, db: Database, compiler: Compiler | None = None) -> None:
        self.saver = Saver(db)
        self.store = Store(db)
        self.compiler = compiler or Compiler(Models())

    async def open(self, definition: AgentDefinition, **changes: Any) -> Agent:
        settings: dict[str, Any] = {"agent_id": "agent-1", "user_id": "ann@example.org", **changes}
        graph = await self.compiler.graph(CompileRequest(definition, **settings))
        attached = graph.copy({"checkpointer": self.saver, "store": self.store})
        return Agent(attached)


@dataclass
class Agent:
    """One compiled agent, on one thread unless another is named."""

    graph: Any
    thread_id: str = field(default_factory=lambda: str(uuid4()))

    async def say(self, text: str, **configurable: Any) -> str:
        """What the agent answers; empty while it waits for a person."""
        return await self._go({"messages": [{"role": "user", "content": text}]}, configurable)

    async def resume(self, answer: Any) -> str:
        """Go on after a pause, as the routes do: what the answer is has been checked."""
        return await self._go(Command(resume=checked_resume(answer, await self.pending())), {})

    async def pending(self) -> list[dict[str, Any]]:
        state = await self.graph.aget_state(self._config({}))
        return [{"id": each.id, "value": each.value} for each in state.interrupts]

    async def values(self) -> dict[str, Any]:
        values: dict[str, Any] = (await self.graph.aget_state(self._config({}))).values
        return values

    async def tool_results(self) -> list[str]:
        return [message.text for message in (await self.values())["messages"] if message.type == "tool"]

    async def _go(self, given: Any, configurable: dict[str, Any]) -> str:
        values = await self.graph.ainvoke(given, self._config(configurable))
        return "" if "__interrupt__" in values else str(values["messages"][-1].text)

    def _config(self, configurable: dict[str, Any]) -> Any:
        return {"configurable": {"thread_id": self.thread_id, **configurable}}


__all__ = ["MAIL", "SKILL", "Agent", "Desk", "Mailbox", "ToolsUnavailable", "demo", "toolbox"]
