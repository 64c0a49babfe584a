"""Searches for threads in the form of the Agent Server's, among the caller's own (MDA 9.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.threads.calls import ThreadCall
from waystation.deepagents.threads.wire import FOUND, STORED_METADATA, found
from waystation.errors import UnprocessableInput
from waystation.http.responses import json_response, pagination_headers
from waystation.threads import search
from waystation.threads.extract import parse_extract
from waystation.threads.models import ThreadCount, ThreadSearch
from waystation.threads.owned import READ_STATUS
from waystation.threads.wire import FIELDS

__all__ = ["count_threads", "search_threads"]


async def search_threads(request: Request) -> Response:
    """A page of the caller's threads of all agents: the Agent Server's answer, with `waystation.deepagents.threads.wire.found`."""
    body = await read_agent_body(request, ThreadSearch, required=False)
    ids = body.thread_ids
    call = await ThreadCall.of(request, "search", body.asked(ids, body.limit, body.offset))
    selected = tuple(dict.fromkeys(body.select or ()))
    rows = await call.server.db.read(
        search.search,
        _filters(body, call.metadata, ids),
        search.Order(body.sort_by or "created_at", ascending=body.sort_order == "asc"),
        search.Page(body.limit + 1, body.offset),
        (*(selected or FIELDS), *FOUND),
        [*parse_extract(body.extract or {}), STORED_METADATA],
        call.access,
    )
    headers = pagination_headers(body.offset, body.limit, len(rows))
    return json_response([found(row, selected=bool(selected)) for row in rows[: body.limit]], headers=headers)


async def count_threads(request: Request) -> Response:
    """How many threads such a search finds."""
    body = await read_agent_body(request, ThreadCount, required=False)
    call = await ThreadCall.of(request, "search", body.asked())
    return json_response(await call.server.db.read(search.count, _filters(body, call.metadata), call.access))


def _filters(body: ThreadCount, metadata: Mapping[str, Any], ids: list[str] | None = None) -> search.Filters:
    """Raises UnprocessableInput. Whether a thread was read is no part of the stored metadata."""
    wanted = dict(metadata)
    read = wanted.pop(READ_STATUS, None)
    if read is not None and not isinstance(read, bool):
        raise UnprocessableInput(f"Set metadata.{READ_STATUS} to true or false: it is something else.")
    return search.Filters(wanted, body.values, body.status, ids, unread=None if read is None else not read)
