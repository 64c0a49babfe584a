"""What Waystation adds to the library's agents: the date, fresh skills and memory, and tools that may fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from deepagents.middleware.memory import MemoryMiddleware, MemoryState, MemoryStateUpdate
from deepagents.middleware.skills import SkillsMiddleware, SkillsState, SkillsStateUpdate
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.tools.tool_node import ToolCallRequest
from langchain_core.messages import SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from langgraph.types import Command

from waystation.deepagents.timezone import date_line

__all__ = ["FreshMemory", "FreshSkills", "RunNotes", "ToolFailures"]

log = structlog.get_logger("waystation.deepagents")


class FreshSkills(SkillsMiddleware[Any, Any]):
    """Reads the skills at the start of every run; the library's own does so once per thread."""

    @property
    def name(self) -> str:
        """That of the middleware it takes the place of."""
        return SkillsMiddleware.__name__

    def before_agent(  # type: ignore[override]  # as the library's own
        self, state: SkillsState, runtime: Runtime, config: RunnableConfig
    ) -> SkillsStateUpdate | None:
        return super().before_agent({**state, "skills_metadata": None}, runtime, config)

    async def abefore_agent(  # type: ignore[override]  # as the library's own
        self, state: SkillsState, runtime: Runtime, config: RunnableConfig
    ) -> SkillsStateUpdate | None:
        return await super().abefore_agent({**state, "skills_metadata": None}, runtime, config)


class FreshMemory(MemoryMiddleware[Any, Any]):
    """Reads the memory at the start of every run; the library's own does so once per thread."""

    @property
    def name(self) -> str:
        """That of the middleware it takes the place of."""
        return MemoryMiddleware.__name__

    def before_agent(  # type: ignore[override]  # as the library's own
        self, state: MemoryState, runtime: Runtime, config: RunnableConfig
    ) -> MemoryStateUpdate | None:
        return super().before_agent(_without_memory(state), runtime, config)

    async def abefore_agent(  # type: ignore[override]  # as the library's own
        self, state: MemoryState, runtime: Runtime, config: RunnableConfig
    ) -> MemoryStateUpdate | None:
        return await super().abefore_agent(_without_memory(state), runtime, config)


def _without_memory(state: MemoryState) -> MemoryState:
    return {key: value for key, value in state.items() if key != "memory_contents"}  # type: ignore[return-value]


class RunNotes(AgentMiddleware[Any, Any, Any]):
    """Ends the prompt with today's date for the user, and with the tools that are missing in this run.

    The time zone is ``configurable.user_timezone`` of the run, so that one graph serves all users.
    """

    def __init__(self, missing: list[str]) -> None:
        super().__init__()
        self._missing = [
            f"Not available right now: {each}. Do not call them; say so if they are needed." for each in missing
        ]

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        return handler(self._noted(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(self._noted(request))

    def _noted(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        lines = [date_line(get_config().get("configurable", {}).get("user_timezone")), *self._missing]
        prompt = request.system_message
        blocks = list(prompt.content_blocks) if prompt is not None and prompt.text else []
        separator = "\n\n" if blocks else ""
        blocks.append({"type": "text", "text": separator + "\n".join(lines)})
        return request.override(system_message=SystemMessage(content_blocks=blocks))


class ToolFailures(AgentMiddleware[Any, Any, Any]):
    """Tells the model of an attached tool that raises, where it would end the run otherwise.

    The exception's text is for the log only: it may hold addresses and credentials.
    """

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        try:
            return handler(request)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - a tool may raise anything
            return self._told(request, error)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        try:
            return await handler(request)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - a tool may raise anything
            return self._told(request, error)

    def _told(self, request: ToolCallRequest, error: Exception) -> ToolMessage:
        name = request.tool_call["name"]
        if name not in self._names:
            raise error
        log.warning("tool failed", tool=name, exc_info=error)
        return ToolMessage(
            f"The tool {name} failed ({type(error).__name__}): its server may be out of order. Go on without it, or say so.",
            name=name,
            tool_call_id=request.tool_call["id"],
            status="error",
        )
