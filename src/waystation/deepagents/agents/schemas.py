"""What the OpenAPI document says of the routes of agents."""

from __future__ import annotations

from typing import Any, get_args

from waystation.deepagents.agents.listing import LARGEST_PAGE, Audience, SortBy, SortOrder
from waystation.deepagents.paging import PAGE

__all__ = ["AGENT", "AGENT_LIST", "INCLUDE_FILES", "LISTING", "PAGING", "REVISION_LIST", "TIMEZONE"]

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_UUID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}

_SUMMARY: dict[str, Any] = {
    "id": _UUID,
    "name": _TEXT,
    "description": _TEXT,
    "owner_id": _UUID,
    "created_at": _TIME,
    "updated_at": _TIME,
    "permissions": _OBJECT,
    "runtime": _OBJECT,
    "backend": _OBJECT,
    "extras": _OBJECT,
    "access_level": {"type": "string", "enum": ["READ", "RUN", "WRITE"]},
    "is_owner": {"type": "boolean"},
}

AGENT: dict[str, Any] = {
    "title": "DeepAgent",
    "type": "object",
    "properties": {
        **_SUMMARY,
        "revision": _TEXT,
        "system_prompt": _TEXT,
        "instructions": {**_TEXT, "deprecated": True},
        "tools": _OBJECT,
        "subagents": {"type": "array", "items": _OBJECT},
        "skills": {"type": "array", "items": _OBJECT},
        "files": _OBJECT,
    },
}


def _list_of(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    items = {"title": title, "type": "object", "properties": properties}
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": items},
            "next_cursor": {"type": ["string", "null"]},
        },
    }


AGENT_LIST = _list_of("DeepAgentSummary", _SUMMARY)

REVISION_LIST = _list_of(
    "DeepAgentRevision",
    {
        "revision": _TEXT,
        "number": {"type": "integer"},
        "created_at": _TIME,
        "created_by": _UUID,
        "is_current": {"type": "boolean"},
        "paths": {"type": "array", "items": _TEXT},
    },
)


def _query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


INCLUDE_FILES = _query("include_files", type="boolean", default=False)

TIMEZONE = {"name": "X-User-Timezone", "in": "header", "required": False, "schema": _TEXT}

PAGING = [
    _query("page_size", type="integer", minimum=1, maximum=LARGEST_PAGE, default=PAGE),
    _query("cursor", type="string"),
]

LISTING = [
    *PAGING,
    _query("name", type="string"),
    _query("sort_by", type="string", enum=list(get_args(SortBy)), default="updated_at"),
    _query("sort_order", type="string", enum=list(get_args(SortOrder)), default="desc"),
    _query("audience", type="string", enum=list(get_args(Audience)), default="user"),
]
