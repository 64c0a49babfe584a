"""HTTP routes of runs (spec 5, 6.4, 7, 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, get_args
from uuid import UUID

from pydantic import RootModel, TypeAdapter
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import BadInput, NotFound, UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import read_bodies, read_body, require_uuid
from waystation.http.openapi import operation
from waystation.http.parameters import integer
from waystation.http.responses import empty, json_response, raw_json
from waystation.http.router import Router
from waystation.runs import queries
from waystation.runs.models import (
    CancelAction,
    RunCreate,
    RunCreateStateful,
    RunCreateStateless,
    RunsCancel,
    RunStatus,
    StreamMode,
)
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.runs.starting import OWN, cancel_allowed, canceller, order_of, start, start_awaited, start_followed
from waystation.runs.waiting import ResultWaiter, settled_run
from waystation.runs.watching import joined, live
from waystation.runs.wire import SCHEMA as RUN
from waystation.runs.wire import run_to_wire
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.threads.refresh import refresh_state

__all__ = ["router"]

router = Router(tags=["Runs"])

JSON = {"content-type": "application/json"}
SESSION_NAME = "langsmith_session_name"


class RunBatch(RootModel[list[RunCreateStateless]]):
    """Several stateless runs."""


_BATCH: TypeAdapter[list[RunCreateStateless]] = TypeAdapter(list[RunCreateStateless])


def _locations(order: Order, *, suffix: str, threaded: bool) -> dict[str, str]:
    """The headers that SDKs read run and thread ids from (spec 5.1)."""
    path = f"/threads/{order.thread_id}/runs/{order.run_id}" if threaded else f"/runs/{order.run_id}"
    headers = {"Content-Location": path}
    if suffix:
        headers["Location"] = f"{path}/{suffix}"
    return headers


# --- creating


@router.post("/threads/{thread_id}/runs", **operation("Create a run on a thread", RunCreateStateful, RUN))
async def create_run(request: Request, thread_id: str) -> Response:
    body = await read_body(request, RunCreateStateful)
    return await _create(request, order_of(request, body, require_uuid(thread_id, "thread_id")), threaded=True)


@router.post("/runs", **operation("Create a run on a thread of its own", RunCreateStateless, RUN))
async def create_stateless_run(request: Request) -> Response:
    body = await read_body(request, RunCreateStateless)
    return await _create(request, order_of(request, body, None), threaded=False)


async def _create(request: Request, order: Order, *, threaded: bool) -> Response:
    created = await start(request, order)
    return json_response(run_to_wire(created.run), headers=_locations(order, suffix="", threaded=threaded))


@router.post("/runs/batch", **operation("Create several runs, all or none", RunBatch, {"type": "array", "items": RUN}))
async def create_batch(request: Request) -> Response:
    bodies = await read_bodies(request, _BATCH)
    if not bodies:
        raise UnprocessableInput("The batch is empty.")
    access, orders = await creation_allowed(request, [order_of(request, body, None) for body in bodies])
    created = await request.app.state.server.engine.create_all(access, orders)
    return json_response([run_to_wire(each.run) for each in created])


@router.post("/threads/{thread_id}/runs/wait", **operation("Run and wait for the result", RunCreateStateful, {}))
async def wait_run(request: Request, thread_id: str) -> Response:
    body = await read_body(request, RunCreateStateful)
    return await _create_and_wait(request, order_of(request, body, require_uuid(thread_id, "thread_id")), body)


@router.post("/runs/wait", **operation("Run on a thread of its own and wait for the result", RunCreateStateless, {}))
async def wait_stateless_run(request: Request) -> Response:
    body = await read_body(request, RunCreateStateless)
    return await _create_and_wait(request, order_of(request, body, None), body)


async def _create_and_wait(request: Request, order: Order, body: RunCreate) -> Response:
    with ExitStack() as resources:
        waiting, _ = await start_awaited(request, order, resources)
        headers = _locations(order, suffix="join", threaded=True)
        cancel = canceller(request, OWN, order.thread_id, order.run_id) if body.on_disconnect == "cancel" else None
        return await _result(request, waiting, headers, cancel, resources.pop_all())


async def _result(
    request: Request,
    waiting: ResultWaiter,
    headers: dict[str, str],
    on_disconnect: Callable[[], Awaitable[None]] | None,
    resources: ExitStack,
) -> Response:
    """The run's result. One that comes before the first keep-alive is due goes out as a plain response."""
    with resources:
        if on_disconnect is None:
            result = await waiting.within(request.app.state.server.config.heartbeat_s)
            if result is not None:
                return raw_json(result, headers=headers)
        return StreamResponse(waiting.or_keep_alive(), {**JSON, **headers}, on_disconnect, resources.pop_all())


@router.post(
    "/threads/{thread_id}/runs/stream", **operation("Run and stream its events", RunCreateStateful, streams=True)
)
async def stream_run(request: Request, thread_id: str) -> Response:
    body = await read_body(request, RunCreateStateful)
    order = order_of(request, body, require_uuid(thread_id, "thread_id"))
    return await _create_and_stream(request, order, body, threaded=True)


@router.post(
    "/runs/stream", **operation("Run on a thread of its own and stream its events", RunCreateStateless, streams=True)
)
async def stream_stateless_run(request: Request) -> Response:
    body = await read_body(request, RunCreateStateless)
    return await _create_and_stream(request, order_of(request, body, None), body, threaded=False)


async def _create_and_stream(request: Request, order: Order, body: RunCreate, *, threaded: bool) -> Response:
    with ExitStack() as resources:
        subscription = await start_followed(request, order, resources)
        frames = live(request.app.state.server, subscription, resumable=order.kwargs["resumable"])
        headers = _locations(order, suffix="stream", threaded=threaded)
        cancel = canceller(request, OWN, order.thread_id, order.run_id) if body.on_disconnect == "cancel" else None
        return StreamResponse(frames, {**SSE_HEADERS, **headers}, cancel, resources.pop_all())


# --- watching


@router.get("/threads/{thread_id}/runs/{run_id}/join", **operation("Wait for a run's result"))
async def join_run(request: Request, thread_id: str, run_id: str) -> Response:
    server = request.app.state.server
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    path = f"/threads/{thread_id}/runs/{run_id}"
    headers = {"Content-Location": path, "Location": f"{path}/join"}
    cancel = await _cancelling(request, thread_id, run_id)
    with ExitStack() as resources:
        waiter = resources.enter_context(server.bus.wait_for_end(run_id))
        settled = await server.db.lookup(settled_run, thread_id, run_id, access)
        if settled is not None:
            return raw_json(settled.result, headers=headers)
        await waiter.announce()
        waiting = ResultWaiter(server, access, thread_id, run_id, waiter)
        return await _result(request, waiting, headers, cancel, resources.pop_all())


@router.get("/threads/{thread_id}/runs/{run_id}/stream", **operation("Join a run's events", streams=True))
async def join_stream(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    return await _joined(request, access, thread_id, run_id)


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
    return await _joined(request, access, thread_id, run_id)


async def _joined(request: Request, access: Access, thread_id: str, run_id: str) -> Response:
    frames = joined(
        request.app.state.server,
        access,
        thread_id,
        run_id,
        last_event_id=request.headers.get("last-event-id"),
        modes=_modes(request),
    )
    path = f"/threads/{thread_id}/runs/{run_id}"
    headers = {**SSE_HEADERS, "Content-Location": path, "Location": f"{path}/stream"}
    return StreamResponse(frames, headers, await _cancelling(request, thread_id, run_id))


async def _cancelling(request: Request, thread_id: str, run_id: str) -> Callable[[], Awaitable[None]] | None:
    """What cancels the run when the client goes away, if that is wanted. Whether it may is asked at once."""
    if request.query_params.get("cancel_on_disconnect", "").lower() not in ("true", "yes", "1"):
        return None
    access = await cancel_allowed(request, "interrupt", {"thread_id": thread_id, "run_id": run_id})
    return canceller(request, access, thread_id, run_id)


def _modes(request: Request) -> list[str]:
    """The query's ``stream_mode``: a name, a JSON array of names, or repeated (spec 8.5)."""
    modes: list[str] = []
    for text in request.query_params.getlist("stream_mode"):
        if text.startswith("["):
            try:
                modes += TypeAdapter(list[str]).validate_json(text)
            except ValueError:
                raise UnprocessableInput(f"Invalid stream_mode {text!r}: it must be a name or a JSON array.") from None
        elif text:
            modes.append(text)
    for mode in modes:
        if mode not in get_args(StreamMode):
            raise UnprocessableInput(
                f"Invalid stream_mode {mode!r}: it must be one of {', '.join(get_args(StreamMode))}."
            )
    return modes


# --- reading


@router.get("/threads/{thread_id}/runs", **operation("List a thread's runs", None, {"type": "array", "items": RUN}))
async def list_runs(request: Request, thread_id: str) -> Response:
    server = request.app.state.server
    thread_id = require_uuid(thread_id, "thread_id")
    limit, offset = _list_limit(request), integer(request, "offset")
    status = request.query_params.get("status")
    if status is not None and status not in get_args(RunStatus):
        raise UnprocessableInput(f"Invalid status {status!r}: it must be one of {', '.join(get_args(RunStatus))}.")
    selected = request.query_params.getlist("select") or [*queries.WIRE_COLUMNS, SESSION_NAME]
    if unknown := set(selected) - {*queries.WIRE_COLUMNS, SESSION_NAME}:
        raise UnprocessableInput(f"Unknown fields to select: {', '.join(sorted(unknown))}.")
    page = {"limit": min(max(10 if limit is None else limit, 0), 1000), "offset": max(offset or 0, 0)}
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    access = await allowed(request, "threads", "search", {"thread_id": thread_id, "metadata": {}, **page}, access)
    rows = await server.db.read(_runs_of_thread, thread_id, access, **page, status=status)
    return json_response([{name: wire[name] for name in selected if name in wire} for wire in map(_row_to_wire, rows)])


def _row_to_wire(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return run_to_wire(row._asdict())


def _list_limit(request: Request) -> int | None:
    """The list's ``limit``. Alone of all parameters it is refused with 400 when it is no integer (spec 1.2)."""
    try:
        return integer(request, "limit")
    except UnprocessableInput as error:
        raise BadInput(error.message) from None


def _runs_of_thread(conn: Any, thread_id: str, access: Any, **options: Any) -> Any:
    if queries.find_thread(conn, thread_id, access) is None:
        raise NotFound(f"Thread {thread_id} not found.")
    return queries.list_runs(conn, thread_id, access, **options)


@router.get("/threads/{thread_id}/runs/{run_id}", **operation("Get a run", None, RUN))
async def get_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id})
    run = await request.app.state.server.db.lookup(queries.find_run, thread_id, run_id, access)
    if run is None:
        raise NotFound(f"Run {run_id} not found on thread {thread_id}.")
    return json_response(run_to_wire(run._asdict()))


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
    server = request.app.state.server
    thread_id, run_id = require_uuid(thread_id, "thread_id"), require_uuid(run_id, "run_id")
    action = _action(request)
    access = await cancel_allowed(request, action, {"thread_id": thread_id, "run_id": run_id})
    wait = request.query_params.get("wait", "").lower() in ("true", "yes", "1")
    if not wait:
        await server.engine.cancel(access, thread_id, run_id, action)
        return empty(202)
    path = f"/threads/{thread_id}/runs/{run_id}"
    headers = {"Content-Location": path, "Location": f"{path}/join"}
    with ExitStack() as resources:
        waiter = resources.enter_context(server.bus.wait_for_end(run_id))
        await waiter.announce()
        await server.engine.cancel(access, thread_id, run_id, action)
        waiting = ResultWaiter(server, access, thread_id, run_id, waiter)
        return await _result(request, waiting, headers, None, resources.pop_all())


@router.post("/runs/cancel", **operation("Cancel many runs", RunsCancel, status=204))
async def cancel_runs(request: Request) -> Response:
    body = await read_body(request, RunsCancel)
    server, action = request.app.state.server, _action(request)
    if body.status is not None:
        access = await cancel_allowed(request, action, {"thread_id": None, "status": body.status})
        statuses = ("pending", "running") if body.status == "all" else (body.status,)
        await server.engine.cancel_all(access, statuses=statuses, action=action)
    else:
        thread_id = require_uuid(body.thread_id or "", "thread_id")
        run_ids = [require_uuid(run_id, "run_ids") for run_id in body.run_ids or ()]
        access = await cancel_allowed(request, action, {"thread_id": thread_id, "run_ids": list(map(UUID, run_ids))})
        await server.engine.cancel_all(access, thread_id=thread_id, run_ids=run_ids, action=action)
    return empty()


def _action(request: Request) -> str:
    action = request.query_params.get("action", "interrupt")
    if action not in get_args(CancelAction):
        raise UnprocessableInput(f"Invalid action {action!r}: it must be interrupt or rollback.")
    return action
