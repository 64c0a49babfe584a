"""The graph of an agent, made with `create_deep_agent`. Importing this imports the library, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepagents import FilesystemPermission, SubAgent, create_deep_agent
from deepagents.middleware.subagents import GENERAL_PURPOSE_SUBAGENT
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langgraph.pregel import Pregel

from waystation.deepagents.compile import memory
from waystation.deepagents.compile.definition import Subagent
from waystation.deepagents.compile.files import agent_files
from waystation.deepagents.compile.middleware import FreshMemory, FreshSkills, RunNotes, ToolFailures
from waystation.deepagents.compile.request import CompileRequest
from waystation.deepagents.compile.tools import Attached, Servers, attach
from waystation.errors import NotSupported

__all__ = ["build_graph"]

SKILLS = "/skills/"

ModelOf = Callable[[str | None], BaseChatModel]


def build_graph(request: CompileRequest, servers: Servers, model_of: ModelOf) -> Pregel[Any, Any, Any, Any]:
    """The graph, without checkpointer and store: those are attached by whoever runs it.

    Raises what `model_of` raises for a model, and NotSupported for a sandbox.
    """
    definition = request.definition
    if definition.backend == "sandbox":
        raise NotSupported(
            'The agent\'s backend is a sandbox, which this server does not have; set it to {"type": "state"}.'
        )
    files = agent_files(definition)
    model = model_of(definition.model)
    attached = attach(definition.toolbox, servers)
    skills = [SKILLS] if definition.skills else None
    middleware: list[AgentMiddleware[Any, Any, Any]] = [
        *_everywhere(attached),
        FreshMemory(backend=files, sources=[memory.HOT_FILE], add_cache_control=True),
    ]
    if skills:
        middleware.append(FreshSkills(backend=files, sources=list(skills)))
    subagents = [_subagent(each, attach(each.toolbox, servers), model_of) for each in definition.subagents]
    if not any(each.name == GENERAL_PURPOSE_SUBAGENT["name"] for each in definition.subagents):
        subagents.insert(0, _general_purpose(attached, skills))
    return create_deep_agent(
        model,
        attached.tools,
        system_prompt=definition.instructions,
        middleware=middleware,
        subagents=subagents,
        skills=skills,
        memory=[memory.HOT_FILE],
        permissions=[_memory_gate()] if request.protect_memory else None,
        backend=files,
        interrupt_on=attached.interrupt_on or None,
        name=request.name,
    )


def _memory_gate() -> FilesystemPermission:
    """Pauses before the memory is written, also in subagents, which inherit it."""
    return FilesystemPermission(operations=["write"], paths=[f"{memory.DIRECTORY}**"], mode="interrupt")


def _everywhere(attached: Attached) -> list[AgentMiddleware[Any, Any, Any]]:
    """The middleware of the agent and of each subagent."""
    return [RunNotes(attached.missing), ToolFailures(frozenset(tool.name for tool in attached.tools))]


def _subagent(subagent: Subagent, attached: Attached, model_of: ModelOf) -> SubAgent:
    spec = SubAgent(
        name=subagent.name,
        description=subagent.description or f"The subagent {subagent.name}.",
        system_prompt=subagent.instructions,
        tools=attached.tools,
        interrupt_on=attached.interrupt_on,
        middleware=_everywhere(attached),
    )
    if subagent.model is not None:
        spec["model"] = model_of(subagent.model)
    if subagent.skills:
        spec["skills"] = [f"/subagents/{subagent.name}{SKILLS}"]
    return spec


def _general_purpose(attached: Attached, skills: list[str] | None) -> SubAgent:
    """The library's own subagent, which would come without the middleware otherwise."""
    spec = SubAgent(
        **GENERAL_PURPOSE_SUBAGENT,
        tools=attached.tools,
        interrupt_on=attached.interrupt_on,
        middleware=_everywhere(attached),
    )
    if skills:
        spec["skills"] = skills
    return spec
