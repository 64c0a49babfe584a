"""Answers about the state of threads, which the routes of both APIs share; `within` is what the caller may see at most."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import require_uuid
from waystation.http.configurable import server_configurable
from waystation.http.parameters import integer
from waystation.http.responses import json_response, raw_json
from waystation.threads.history import history
from waystation.threads.state import get_state

__all__ = ["newest_state", "page_of_history", "state_at", "states", "wants_subgraphs"]

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000


async def newest_state(request: Request, thread_id: str, within: Access | None = None) -> Response:
    """The state of the thread, as the query asks for it."""
    return await state_at(request, thread_id, None, wants_subgraphs(request), within)


async def state_at(
    request: Request, thread_id: str, checkpoint: dict[str, Any] | None, subgraphs: bool, within: Access | None = None
) -> Response:
    """The state of the thread at `checkpoint`."""
    server = request.app.state.server
    access = await allowed(request, "threads", "read", {"thread_id": thread_id}, within)
    return json_response(
        await get_state(server, access, thread_id, checkpoint, subgraphs, server_configurable(request))
    )


async def page_of_history(request: Request, thread_id: str, within: Access | None = None) -> Response:
    """The past states that the query asks for."""
    before = request.query_params.get("before")
    bound = {"checkpoint_id": require_uuid(before, "before")} if before else None
    return await states(request, thread_id, within, limit=_limit(request), before=bound)


async def states(request: Request, thread_id: str, within: Access | None = None, **search: Any) -> Response:
    """Past states of the thread."""
    server = request.app.state.server
    access = await allowed(request, "threads", "read", {"thread_id": thread_id}, within)
    found = await history(server, access, thread_id, configurable=server_configurable(request), **search)
    return raw_json(await asyncio.to_thread(encode, found))  # many states of a long conversation take a while


def wants_subgraphs(request: Request) -> bool:
    """Whether the query asks for those of subgraphs as well."""
    return request.query_params.get("subgraphs") in ("true", "True")


def _limit(request: Request) -> int:
    limit = integer(request, "limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 0 <= limit <= MAX_LIMIT:
        raise UnprocessableInput(f"Invalid limit {limit}: it must be from 0 to {MAX_LIMIT}.")
    return limit
