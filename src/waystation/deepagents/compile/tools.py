"""The tools of MCP servers that an agent gets: from a `ToolSource`, only those it names, under names that do not clash."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from msgspec import Struct, field

from waystation.deepagents.compile.definition import AgentDefinition, Toolbox, ToolReference
from waystation.deepagents.compile.gates import BUILT_IN, gated, gated_built_ins
from waystation.deepagents.tool_source import ServerTools, ToolSource, ToolsUnavailable
from waystation.deepagents.urls import shown, url_key

__all__ = ["Attached", "Servers", "attach", "list_servers"]

log = structlog.get_logger("waystation.deepagents")

NAME_CHARACTERS = 64
"""The longest name that all providers of models take."""


Servers = Mapping[str, ServerTools | ToolsUnavailable]
"""What became of each server, by URL in the form of `url_key`."""


class Attached(Struct, frozen=True):
    """What one agent gets from its toolbox."""

    tools: list[Any] = field(default_factory=list)
    interrupt_on: dict[str, Any] = field(default_factory=dict)
    """``interrupt_on`` of the library."""
    missing: list[str] = field(default_factory=list)
    """Sentences for the model about tools that it should have and has not."""


async def list_servers(definition: AgentDefinition, source: ToolSource | None) -> Servers:
    """Ask all servers at the same time for the tools that the agent or its subagents name."""
    toolboxes = [definition.toolbox, *(subagent.toolbox for subagent in definition.subagents)]
    wanted: dict[str, tuple[str, set[str]]] = {}
    for tool in (tool for toolbox in toolboxes for tool in toolbox.tools):
        wanted.setdefault(url_key(tool.server_url), (tool.server_url, set()))[1].add(tool.name)
    found = await asyncio.gather(*(_list(url, names, source) for url, names in wanted.values()))
    return dict(zip(wanted, found, strict=True))


async def _list(url: str, names: Collection[str], source: ToolSource | None) -> ServerTools | ToolsUnavailable:
    if source is None:
        return ToolsUnavailable("this server has no connection to MCP servers")
    try:
        return await source.tools(url, names)
    except ToolsUnavailable as unavailable:
        log.warning("tools unavailable", server=shown(url), reason=str(unavailable))
        return unavailable
    except Exception as error:
        log.warning("tools unavailable", server=shown(url), exc_info=error)
        return ToolsUnavailable("the server did not answer as expected")


def attach(toolbox: Toolbox, servers: Servers) -> Attached:
    """The tools of `toolbox` with their final names, and which of them a person approves.

    Names and gates do not depend on what is available: a pause has to find the same ones when it is over.
    """
    attached = Attached(interrupt_on=dict.fromkeys(gated_built_ins(toolbox.interrupt_config), True))
    lost: dict[str, list[str]] = {}
    for name, reference in _named(toolbox.tools).items():
        if gated(reference, toolbox.interrupt_config):
            attached.interrupt_on[name] = True
        server = servers[url_key(reference.server_url)]
        if isinstance(server, ToolsUnavailable):
            lost.setdefault(f"the server {_label(reference)}: {server}", []).append(name)
            continue
        tool = next((tool for tool in server.tools if tool.name == reference.name), None)
        if tool is None:
            lost.setdefault(f"the server {_label(reference)} does not offer them", []).append(name)
        else:
            attached.tools.append(tool if name == tool.name else tool.model_copy(update={"name": name}))
    attached.missing.extend(f"{', '.join(names)} ({reason})" for reason, names in lost.items())
    return attached


def _label(reference: ToolReference) -> str:
    """The server, for the model."""
    return reference.server_name if _has_name(reference) else shown(reference.server_url)


def _has_name(reference: ToolReference) -> bool:
    """Whether the server is called something other than its URL."""
    return url_key(reference.server_name) != url_key(reference.server_url)


def _named(references: Sequence[ToolReference]) -> dict[str, ToolReference]:
    """The tools by the names the model knows them by.

    A name that another tool has too gets the server's in front of it: the library would let one of them vanish.
    """
    taken = Counter([*BUILT_IN, *(reference.name for reference in references)])
    named: dict[str, ToolReference] = {each.name: each for each in references if taken[each.name] == 1}
    for reference in references:
        if taken[reference.name] > 1:
            named[_free_name(reference, named.keys() | BUILT_IN)] = reference
    return named


def _free_name(reference: ToolReference, used: Collection[str]) -> str:
    label = reference.server_name
    if not _has_name(reference):
        label = urlsplit(reference.server_url).hostname or label
    label = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "server"
    name = f"{label}_{reference.name}"[:NAME_CHARACTERS]
    number = 2
    while name in used:
        name = f"{f'{label}_{reference.name}'[: NAME_CHARACTERS - 4]}_{number}"
        number += 1
    return name
