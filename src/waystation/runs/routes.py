"""HTTP routes of runs (spec 5, 6.4, 7, 8)."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from pydantic import RootModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import EVERYTHING
from waystation.errors import UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import read_bodies, read_body, require_uuid
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response
from waystation.http.router import Router
from waystation.runs import answers, queries
from waystation.runs.models import RunCreateStateful, RunCreateStateless, RunsCancel
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.runs.wire import SCHEMA as RUN
from waystation.runs.wire import run_to_wire
from waystation.threads.refresh import refresh_state

__all__ = ["router"]

router = Router(tags=["Runs"])


class RunBatch(RootModel[list[RunCreateStateless]]):
    """Several stateless runs."""


_BATCH: TypeAdapter[list[RunCreateStateless]] = TypeAdapter(list[RunCreateStateless])


async def _permitted(request: Request, order: Order) -> tuple[Order, answers.Store]:
    """The order as handlers have left it, and what stores it."""
    access, [order] = await creation_allowed(request, [order])
    return order, partial(request.app.state.server.engine.create, access)


async def _on_thread(request: Request, thread_id: str) -> tuple[RunCreateStateful, Order, answers.Store]:
    body = await read_body(request, RunCreateStateful)
    order = answers.order_of(request, body, require_uuid(thread_id, "thread_id"))
    return body, *await _permitted(request, order)


async def _stateless(request: Request) -> tuple[RunCreateStateless, Order, answers.Store]:
    body = await read_body(request, RunCreateStateless)
    return body, *await _permitted(request, answers.order_of(request, body, None))


# --- creating


@router.post("/threads/{thread_id}/runs", **operation("Create a run on a thread", RunCreateStateful, RUN))
async def create_run(request: Request, thread_id: str) -> Response:
    _, order, store = await _on_thread(request, thread_id)
    return await answers.created(order, store)


@router.post("/runs", **operation("Create a run on a thread of its own", RunCreateStateless, RUN))
async def create_stateless_run(request: Request) -> Response:
    _, order, store = await _stateless(request)
    return await answers.created(order, store, threaded=False)


@router.post("/runs/batch", **operation("Create several runs, all or none", RunBatch, {"type": "array", "items": RUN}))
async def create_batch(request: Request) -> Response:
    bodies = await read_bodies(request, _BATCH)
    if not bodies:
        raise UnprocessableInput("The batch is empty.")
    access, orders = await creation_allowed(request, [answers.order_of(request, body, None) for body in bodies])
    created = await request.app.state.server.engine.create_all(access, orders)
    return json_response([run_to_wire(each.run) for each in created])


@router.post("/threads/{thread_id}/runs/wait", **operation("Run and wait for the result", RunCreateStateful, {}))
async def wait_run(request: Request, thread_id: str) -> Response:
    body, order, store = await _on_thread(request, thread_id)
    return await answers.waited(request, order, store, body)


@router.post("/runs/wait", **operation("Run on a thread of its own and wait for the result", RunCreateStateless, {}))
async def wait_stateless_run(request: Request) -> Response:
    body, order, store = await _stateless(request)
    return await answers.waited(request, order, store, body)


@router.post(
    "/threads/{thread_id}/runs/stream", **operation("Run and stream its events", RunCreateStateful, streams=True)
)
async def stream_run(request: Request, thread_id: str) -> Response:
    body, order, store = await _on_thread(request, thread_id)
    return await answers.streamed(request, order, store, body)


@router.post(
    "/runs/stream", **operation("Run on a thread of its own and stream its events", RunCreateStateless, streams=True)
)
async def stream_stateless_run(request: Request) -> Response:
    body, order, store = await _stateless(request)
    return await answers.streamed(request, order, store, body, threaded=False)


# --- watching


@router.get("/threads/{thread_id}/runs/{run_id}/join", **operation("Wait for a run's result"))
async def join_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    return await answers.joined_result(request, thread_id, run_id)


@router.get("/threads/{thread_id}/runs/{run_id}/stream", **operation("Join a run's events", streams=True))
async def join_stream(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    return await answers.joined_stream(request, access, thread_id, run_id)


@router.get("/runs/{run_id}/stream", **operation("Join the events of a run on a thread of its own", streams=True))
async def join_stateless_stream(request: Request, run_id: str) -> Response:
    run_id = require_uuid(run_id, "run_id")
    db = request.app.state.server.db
    run = await db.lookup(queries.find_run, None, run_id, EVERYTHING)
    thread_id = run.thread_id if run is not None else run_id
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    if await db.lookup(queries.find_run, thread_id, run_id, access) is None:
        # A run that is over and gone is told of inside the stream, as on a named thread: clients that reconnect expect one.
        thread_id = run_id
    return await answers.joined_stream(request, access, thread_id, run_id)


# --- reading


@router.get("/threads/{thread_id}/runs", **operation("List a thread's runs", None, {"type": "array", "items": RUN}))
async def list_runs(request: Request, thread_id: str) -> Response:
    return await answers.runs_of_thread(request, require_uuid(thread_id, "thread_id"))


@router.get("/threads/{thread_id}/runs/{run_id}", **operation("Get a run", None, RUN))
async def get_run(request: Request, thread_id: str, run_id: str) -> Response:
    return await answers.found_run(request, require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id"))


# --- ending


@router.delete("/threads/{thread_id}/runs/{run_id}", **operation("Delete a run", status=204))
async def delete_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    server = request.app.state.server
    access = await allowed(request, "threads", "delete", {"thread_id": thread_id, "run_id": run_id})
    if await server.engine.delete(access, thread_id, run_id) == "settled":
        await refresh_state(server, thread_id)
    return empty()


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", **operation("Cancel a run"))
async def cancel_run(request: Request, thread_id: str, run_id: str) -> Response:
    return await answers.cancelled(request, require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id"))


@router.post("/runs/cancel", **operation("Cancel many runs", RunsCancel, status=204))
async def cancel_runs(request: Request) -> Response:
    body = await read_body(request, RunsCancel)
    server, action = request.app.state.server, answers.action_of(request)
    if body.status is not None:
        access = await answers.cancel_allowed(request, action, {"thread_id": None, "status": body.status})
        statuses = ("pending", "running") if body.status == "all" else (body.status,)
        await server.engine.cancel_all(access, statuses=statuses, action=action)
    else:
        thread_id = require_uuid(body.thread_id or "", "thread_id")
        run_ids = [require_uuid(run_id, "run_ids") for run_id in body.run_ids or ()]
        asked = {"thread_id": thread_id, "run_ids": list(map(UUID, run_ids))}
        access = await answers.cancel_allowed(request, action, asked)
        await server.engine.cancel_all(access, thread_id=thread_id, run_ids=run_ids, action=action)
    return empty()
