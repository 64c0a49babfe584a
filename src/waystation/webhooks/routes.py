"""What became of the webhooks of a run: a route beyond the Agent Server API."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import Access
from waystation.http.authorization import allowed
from waystation.http.bodies import require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router
from waystation.threads import require_thread
from waystation.webhooks import outbox
from waystation.webhooks.wire import SCHEMA, delivery_to_wire

__all__ = ["router"]

router = Router(tags=["Webhooks"])


@router.get(
    "/threads/{thread_id}/runs/{run_id}/webhooks",
    **operation("What became of a run's webhook", answer={"type": "array", "items": SCHEMA}),
)
async def list_deliveries(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    rows = await request.app.state.server.db.read(_deliveries, thread_id, run_id, access)
    return json_response([delivery_to_wire(row._asdict()) for row in rows])


def _deliveries(conn: Connection, thread_id: str, run_id: str, access: Access) -> list[Row[*tuple[Any, ...]]]:
    """Raises NotFound for a thread that the caller cannot see. A run may be gone, rolled back, and its deliveries not."""
    require_thread(conn, thread_id, access)
    return outbox.of_run(conn, thread_id, run_id, access)
