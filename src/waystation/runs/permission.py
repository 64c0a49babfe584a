"""Whether a caller may create runs: the events of run creation, asked in order (spec 18.5)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from starlette.requests import Request

from waystation.assistants import assistant_id_of, is_shared
from waystation.auth.access import Access
from waystation.auth.caller import Caller
from waystation.auth.filters import NOTHING
from waystation.http.authorization import caller_of, metadata_of
from waystation.runs.order import Order
from waystation.storage.database import Database

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["creation_allowed", "runs_allowed"]


async def creation_allowed(request: Request, orders: Sequence[Order]) -> tuple[Access, list[Order]]:
    """`runs_allowed` for the caller of a request."""
    server: Server = request.app.state.server
    return await runs_allowed(caller_of(request), server.db, server.graphs, orders)


async def runs_allowed(
    caller: Caller, db: Database, graphs: Container[str], orders: Sequence[Order]
) -> tuple[Access, list[Order]]:
    """The access to create these runs with, and the orders as the handlers have left them, which may have changed metadata and
    arguments. Everybody may run an assistant that the server made; for others `assistants.read` is asked (spec 18.4).

    Raises Starlette's HTTPException for a refusal, HandlerFailed, UnprocessableInput for an unknown assistant."""
    access = caller.access
    if caller.handlers is None:
        return access, list(orders)
    judged: list[Order] = []
    reads = 0
    for order in orders:
        assistant_id = assistant_id_of(order.assistant_id, graphs)
        asked = _event(order, assistant_id)
        access = await caller.allowed("threads", "create_run", asked, access)
        judged.append(replace(order, metadata=metadata_of(asked), kwargs=asked["kwargs"]))
        if not await db.lookup(is_shared, assistant_id):
            access = await caller.allowed("assistants", "read", {"assistant_id": assistant_id}, access)
            reads += 1
    return access if reads else access.narrowed("assistants", NOTHING), judged


def _event(order: Order, assistant_id: str) -> dict[str, Any]:
    return {
        "thread_id": None if order.stateless else order.thread_id,
        "assistant_id": assistant_id,
        "run_id": order.run_id,
        "status": "pending",
        "metadata": dict(order.metadata),
        "prevent_insert_if_inflight": order.multitask_strategy == "reject",
        "multitask_strategy": order.multitask_strategy,
        "if_not_exists": "create" if order.create_thread else "reject",
        "after_seconds": order.after_s,
        "kwargs": order.kwargs,
    }
