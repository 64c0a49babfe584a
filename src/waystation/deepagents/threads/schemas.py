"""What the OpenAPI document says of the routes of threads of agents."""

from __future__ import annotations

from typing import Any, get_args

from waystation.deepagents.paging import PAGE
from waystation.deepagents.threads.listing import LARGEST_PAGE
from waystation.threads.models import ThreadStatus

__all__ = ["AGENT_ID", "COUNT", "LIST", "LISTING", "RESULTS", "THREAD", "UPDATED", "WHOLE"]

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_UUID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "format": "date-time"}
_STATUS = {"type": "string", "enum": list(get_args(ThreadStatus))}
_BOOLEAN = {"type": "boolean"}

_THREAD: dict[str, Any] = {
    "id": _UUID,
    "agent_id": _UUID,
    "status": _STATUS,
    "metadata": _OBJECT,
    "created_at": _TIME,
    "updated_at": _TIME,
}
_UPDATED = {**_THREAD, "title": _TEXT}
_SUMMARY = {**_UPDATED, "has_interrupts": _BOOLEAN, "state_updated_at": _TIME}
_WHOLE = {**_SUMMARY, "thread_id": _UUID, "values": {}, "interrupts": _OBJECT, "error": {"type": ["object", "null"]}}


def _object(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": properties}


THREAD = _object("DeepAgentThread", _THREAD)

UPDATED = _object("DeepAgentThreadUpdated", _UPDATED)

WHOLE = _object("DeepAgentThreadWithState", _WHOLE)

LIST = _object(
    "DeepAgentThreadList",
    {
        "threads": {"type": "array", "items": _object("DeepAgentThreadSummary", _SUMMARY)},
        "next_cursor": {"type": ["string", "null"]},
    },
)

COUNT = _object("DeepAgentThreadCount", {"attention_count": {"type": "integer"}})

RESULTS = _object(
    "DeepAgentThreadResults",
    {
        "results": {
            "type": "array",
            "items": _object(
                "DeepAgentThreadResult",
                {
                    "id": _TEXT,
                    "status": {"type": "string", "enum": ["success", "failure"]},
                    "error_code": _TEXT,
                    "message": _TEXT,
                },
            ),
        }
    },
)


def _query(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


AGENT_ID = _query("agent_id", _UUID)

LISTING = [
    _query("agent_id", _UUID, required=True),
    _query("page_size", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}),
    _query("cursor", _TEXT),
    _query("status", _STATUS),
    _query("is_pinned", _BOOLEAN),
    _query("test_run", {**_BOOLEAN, "default": False}),
    _query("requires_attention", _BOOLEAN),
]
