"""The routes of thread state and history (spec 4.2)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from waystation.http.authorization import allowed
from waystation.http.bodies import read_body, require_uuid
from waystation.http.configurable import server_configurable
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router
from waystation.threads import state_answers
from waystation.threads.snapshot import SCHEMA
from waystation.threads.state import update_state
from waystation.threads.state_models import StateAtCheckpoint, StateSearch, StateUpdate

__all__ = ["router"]

router = Router(tags=["Threads"])

_STATES = {"type": "array", "items": SCHEMA}
_CHECKPOINT = {"type": "object", "properties": {"checkpoint": {"type": "object"}}}


@router.get("/threads/{thread_id}/state", **operation("Get the newest state of a thread", answer=SCHEMA))
async def get_newest_state(request: Request, thread_id: str) -> Response:
    return await state_answers.newest_state(request, require_uuid(thread_id, "thread_id"))


@router.get(
    "/threads/{thread_id}/state/{checkpoint_id}", **operation("Get the state at a checkpoint by its id", answer=SCHEMA)
)
async def get_state_by_id(request: Request, thread_id: str, checkpoint_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    checkpoint = {"checkpoint_id": require_uuid(checkpoint_id, "checkpoint_id")}
    return await state_answers.state_at(request, thread_id, checkpoint, state_answers.wants_subgraphs(request))


@router.post(
    "/threads/{thread_id}/state/checkpoint",
    **operation("Get the state at a checkpoint, also of a subgraph", body=StateAtCheckpoint, answer=SCHEMA),
)
async def get_state_at_checkpoint(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    body = await read_body(request, StateAtCheckpoint)
    return await state_answers.state_at(request, thread_id, body.checkpoint.model_dump(), bool(body.subgraphs))


@router.post(
    "/threads/{thread_id}/state",
    **operation("Update the state of a thread", body=StateUpdate, answer=_CHECKPOINT),
)
async def post_state(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    body = await read_body(request, StateUpdate)
    server = request.app.state.server
    access = await allowed(request, "threads", "update", {"thread_id": thread_id, "metadata": {}})
    access = await allowed(request, "threads", "read", {"thread_id": thread_id}, access)
    return json_response(await update_state(server, access, thread_id, body.model_dump(), server_configurable(request)))


@router.get("/threads/{thread_id}/history", **operation("List past states of a thread", answer=_STATES))
async def get_history(request: Request, thread_id: str) -> Response:
    return await state_answers.page_of_history(request, require_uuid(thread_id, "thread_id"))


@router.post(
    "/threads/{thread_id}/history",
    **operation("List past states of a thread, filtered or of a subgraph", body=StateSearch, answer=_STATES),
)
async def post_history(request: Request, thread_id: str) -> Response:
    thread_id = require_uuid(thread_id, "thread_id")
    body = (await read_body(request, StateSearch)).model_dump()
    return await state_answers.states(
        request,
        thread_id,
        limit=body["limit"],
        before=body["before"],
        metadata=body["metadata"],
        checkpoint=body["checkpoint"],
    )
