"""Assistants as MCP tools: their names, what they take, and which one a name means (spec 15)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_types import Tool, ToolAnnotations
from starlette.exceptions import HTTPException
from starlette.requests import Request

from waystation.assistants import queries, visible
from waystation.errors import NotFound
from waystation.graphs.message_schemas import is_conversation, properties_of, root_of, used_definitions
from waystation.graphs.schemas import JsonSchema
from waystation.http.jsonrpc import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["PAGE", "WHOLE", "arguments_schema", "find", "list_page", "tool_name"]

PAGE = 100
"""Tools on a page."""

LONGEST_NAME = 128

WHOLE = "input"
"""The argument that is the input of a graph which takes no object: arguments always are one."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]")
_SPACE = re.compile(r"\s")

_ANNOTATIONS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)


def tool_name(name: str) -> str:
    """What the tool of the assistant `name` is called; empty when nothing of the name is left."""
    return _FORBIDDEN.sub("", _SPACE.sub("_", name))[:LONGEST_NAME]


async def list_page(request: Request, offset: int) -> tuple[list[Tool], int | None]:
    """At most `PAGE` tools, and where the next page begins if there is one. Of assistants with one name the oldest is shown, and
    none whose schema is not to be had: that it takes would be a guess."""
    first: dict[str, str] = {}
    for assistant_id, name in await _names(request, PAGE, offset):
        if called := tool_name(name):
            first.setdefault(called, assistant_id)
    chosen = list(first.items())[offset : offset + PAGE]
    tools = [tool for called, assistant_id in chosen if (tool := await _tool(request, called, assistant_id))]
    return tools, offset + PAGE if offset + PAGE < len(first) else None


async def find(request: Request, called: str) -> str:
    """The id of the assistant whose tool has this name. Raises RpcError when there is none, or more than one: whoever calls a tool
    must not get another because somebody has given it the same name."""
    found = [assistant_id for assistant_id, name in await _names(request, 1, 0) if tool_name(name) == called]
    if not found:
        raise RpcError(INVALID_PARAMS, f"Unknown tool: {called[:LONGEST_NAME]!r}.")
    if len(found) > 1:
        raise RpcError(
            INVALID_PARAMS, f"Ambiguous tool: {called!r} names the assistants {', '.join(found)}. Rename all but one."
        )
    return found[0]


def arguments_schema(schema: JsonSchema) -> tuple[dict[str, Any], bool]:
    """The arguments of a tool whose graph takes `schema`, and whether they are the input itself rather than hold it as `WHOLE`. A
    conversation becomes one text, which LangGraph takes for a message of the user."""
    root = root_of(schema)
    if root.get("type") != "object":
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        definitions = {"$defs": schema["$defs"]} if schema.get("$defs") else {}
        return {"type": "object", "properties": {WHOLE: inner}, "required": [WHOLE], **definitions}, False
    properties = {
        name: _text(part) if is_conversation(part, root) else part for name, part in properties_of(root).items()
    }
    collapsed = {key: value for key, value in root.items() if key != "$defs"} | {"properties": properties}
    definitions = used_definitions(collapsed, root.get("$defs") or {})
    return {**collapsed, **({"$defs": definitions} if definitions else {})}, True


def _text(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "string", **{key: part[key] for key in ("title", "description") if key in part}}


async def _names(request: Request, limit: int, offset: int) -> list[tuple[str, str]]:
    server: Server = request.app.state.server
    access, filters = await visible.search_allowed(request, queries.Filters(server.graphs.served), limit, offset)
    return await server.db.read(queries.names, filters, access)


async def _tool(request: Request, called: str, assistant_id: str) -> Tool | None:
    try:
        row = await visible.read(request, assistant_id)
    except NotFound:
        return None  # deleted meanwhile, or hidden by the filter of assistants.read
    except HTTPException as error:
        if error.status_code in (403, 404):
            return None
        raise
    schema = (await visible.schemas(request, row)).get("input_schema")
    if not isinstance(schema, dict):
        return None
    return Tool(
        name=called,
        title=row["name"],
        description=row["description"] or f"Runs the assistant {row['name']!r} ({row['graph_id']}).",
        input_schema=arguments_schema(schema)[0],
        annotations=_ANNOTATIONS,
    )
