"""Whether a caller may do something with crons: the events, asked in order, and what handlers have changed (spec 18.4, 18.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from starlette.requests import Request

from waystation.assistants import is_shared
from waystation.auth.access import Access
from waystation.auth.filters import NOTHING
from waystation.crons.content import Change, judged_change, judged_row
from waystation.crons.queries import Filters
from waystation.http.authorization import allowed, caller_of, metadata_of

if TYPE_CHECKING:
    from waystation.server import Server

__all__ = ["change_allowed", "creation_allowed", "search_allowed"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def creation_allowed(request: Request, row: Mapping[str, Any]) -> tuple[Access, dict[str, Any]]:
    """The access to create the cron with, and its row as the handlers have left it. Everybody may run an assistant that the
    server made; for others `assistants.read` is asked.

    Raises Starlette's HTTPException for a refusal, HandlerFailed, UnprocessableInput for a row that is no cron any more."""
    asked = {
        "payload": dict(row["payload"]),
        "schedule": row["schedule"],
        "cron_id": row["cron_id"],
        "thread_id": row["thread_id"],
        "user_id": row["user_id"],
        "end_time": None if row["end_time"] is None else EPOCH + timedelta(microseconds=row["end_time"]),
        "metadata": row["metadata"],
    }
    access = await allowed(request, "crons", "create", asked)
    if caller_of(request).handlers is None:
        return access, dict(row)
    server: Server = request.app.state.server
    judged = judged_row(row, asked["payload"], metadata_of(asked))
    if await server.db.lookup(is_shared, row["assistant_id"]):
        access = access.narrowed("assistants", NOTHING)
    else:
        access = await allowed(request, "assistants", "read", {"assistant_id": row["assistant_id"]}, access)
    if row["thread_id"] is not None:
        access = await allowed(request, "threads", "read", {"thread_id": row["thread_id"]}, access)
    return access, judged


async def change_allowed(request: Request, cron_id: str, change: Change) -> tuple[Access, Change]:
    """The access to change the cron with, and the change as the handler has left it. Raises what `creation_allowed` raises."""
    asked = {
        "cron_id": cron_id,
        "payload": dict(change.given),
        "schedule": change.given.get("schedule"),
        "metadata": change.given.get("metadata", {}),
    }
    access = await allowed(request, "crons", "update", asked)
    if caller_of(request).handlers is None:
        return access, change
    return access, judged_change(change, asked["payload"], metadata_of(asked))


async def search_allowed(request: Request, filters: Filters, limit: int, offset: int) -> tuple[Access, Filters]:
    """The caller's access to a search, and what to search for; a handler may add to its metadata. Crons on threads that the
    caller may not see are left out."""
    asked = {
        "assistant_id": filters.assistant_id,
        "thread_id": filters.thread_id,
        "metadata": dict(filters.metadata or {}),
        "limit": limit,
        "offset": offset,
    }
    access = await allowed(request, "crons", "search", asked)
    if filters.thread_id is not None:
        access = await allowed(request, "threads", "read", {"thread_id": filters.thread_id}, access)
    else:
        of_threads: dict[str, Any] = {"metadata": {}, "values": {}, "status": None, "limit": limit, "offset": offset}
        access = await allowed(request, "threads", "search", of_threads, access)
    return access, replace(filters, metadata=metadata_of(asked))
