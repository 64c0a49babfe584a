"""Answers about runs, which the routes of both APIs share. What differs is handed in: how a run is stored, what the caller may see
at most (`within`), and below which path the API has its threads (`base`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, get_args

from pydantic import TypeAdapter
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import BadInput, NotFound, UnprocessableInput
from waystation.http.authorization import access_of, allowed
from waystation.http.configurable import server_configurable
from waystation.http.parameters import integer
from waystation.http.responses import empty, json_response, raw_json
from waystation.runs import queries
from waystation.runs.lifecycle import Created
from waystation.runs.models import CancelAction, RunCreate, RunStatus, StreamMode
from waystation.runs.order import Order, order_from
from waystation.runs.waiting import ResultWaiter, settled_run
from waystation.runs.watching import joined, live
from waystation.runs.wire import run_to_wire
from waystation.streams.bus import EndWaiter, Subscription
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.threads.ttl import default_ttl

__all__ = [
    "OWN",
    "Store",
    "action_of",
    "cancel_allowed",
    "cancelled",
    "canceller",
    "created",
    "found_run",
    "joined_result",
    "joined_stream",
    "order_of",
    "runs_of_thread",
    "streamed",
    "subscribed",
    "waited",
]

OWN = EVERYTHING
"""A request's access to the run it has just created, whoever may see it afterwards."""

JSON = {"content-type": "application/json"}
SESSION_NAME = "langsmith_session_name"

Store = Callable[[Order], Awaitable[Created]]
"""Stores the run that is ordered."""


def order_of(request: Request, body: RunCreate, thread_id: str | None) -> Order:
    """What a request orders. Raises what `order_from` and the check of its webhook raise."""
    webhooks = request.app.state.server.webhooks
    webhooks.check(body.webhook)
    if not webhooks.sent:
        body.webhook = None  # accepted, and nothing is sent (spec 11)
    return order_from(
        body,
        thread_id,
        server_configurable(request),
        access_of(request).user_id,
        default_ttl(request.app.state.server.config),
    )


def _locations(order: Order, *, suffix: str = "", threaded: bool = True, base: str = "") -> dict[str, str]:
    """The headers that SDKs read run and thread ids from (spec 5.1)."""
    path = _path(order.thread_id, order.run_id, base) if threaded else f"{base}/runs/{order.run_id}"
    headers = {"Content-Location": path}
    if suffix:
        headers["Location"] = f"{path}/{suffix}"
    return headers


def _path(thread_id: str, run_id: str, base: str) -> str:
    return f"{base}/threads/{thread_id}/runs/{run_id}"


# --- creating


async def created(order: Order, store: Store, *, threaded: bool = True, base: str = "") -> Response:
    """The run as it was stored."""
    stored = await store(order)
    return json_response(run_to_wire(stored.run), headers=_locations(order, threaded=threaded, base=base))


async def waited(request: Request, order: Order, store: Store, body: RunCreate) -> Response:
    """The result of a new run."""
    server = request.app.state.server
    with ExitStack() as resources:
        waiter = resources.enter_context(server.bus.wait_for_end(order.run_id))
        await store(replace(order, listener=server.bus.listener(end_only=True)))
        cancel = canceller(request, OWN, order.thread_id, order.run_id) if body.on_disconnect == "cancel" else None
        headers = _locations(order, suffix="join")
        return await _result(request, OWN, order.thread_id, order.run_id, waiter, headers, cancel, resources.pop_all())


async def streamed(
    request: Request, order: Order, store: Store, body: RunCreate, *, threaded: bool = True, base: str = ""
) -> Response:
    """The events of a new run."""
    with ExitStack() as resources:
        subscription = await subscribed(request, order, store, resources)
        frames = live(request.app.state.server, subscription, resumable=order.kwargs["resumable"])
        headers = {**SSE_HEADERS, **_locations(order, suffix="stream", threaded=threaded, base=base)}
        cancel = canceller(request, OWN, order.thread_id, order.run_id) if body.on_disconnect == "cancel" else None
        return StreamResponse(frames, headers, cancel, resources.pop_all())


async def subscribed(request: Request, order: Order, store: Store, resources: ExitStack) -> Subscription:
    """A subscription to the events of a new run, open as long as the `resources` are."""
    bus = request.app.state.server.bus
    subscription: Subscription = resources.enter_context(bus.subscribe(order.thread_id, order.run_id))
    await store(replace(order, listener=bus.listener()))
    return subscription


async def _result(
    request: Request,
    access: Access,
    thread_id: str,
    run_id: str,
    waiter: EndWaiter,
    headers: dict[str, str],
    on_disconnect: Callable[[], Awaitable[None]] | None,
    resources: ExitStack,
) -> Response:
    """The run's result. One that comes before the first keep-alive is due goes out as a plain response."""
    server = request.app.state.server
    with resources:
        waiting = ResultWaiter(server, access, thread_id, run_id, waiter)
        if on_disconnect is None:
            result = await waiting.within(server.config.heartbeat_s)
            if result is not None:
                return raw_json(result, headers=headers)
        return StreamResponse(waiting.or_keep_alive(), {**JSON, **headers}, on_disconnect, resources.pop_all())


def canceller(request: Request, access: Access, thread_id: str, run_id: str) -> Callable[[], Awaitable[None]]:
    """What cancels the run when its client goes away."""

    async def cancel() -> None:
        try:
            await request.app.state.server.engine.cancel(access, thread_id, run_id, "interrupt")
        except NotFound:
            return  # the run ended before its client went away

    return cancel


# --- watching


async def joined_result(
    request: Request, thread_id: str, run_id: str, within: Access | None = None, base: str = ""
) -> Response:
    """The result of a run of the thread."""
    server = request.app.state.server
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id}, within)
    path = _path(thread_id, run_id, base)
    headers = {"Content-Location": path, "Location": f"{path}/join"}
    cancel = await _cancelling(request, thread_id, run_id, within)
    with ExitStack() as resources:
        waiter = resources.enter_context(server.bus.wait_for_end(run_id))
        settled = await server.db.lookup(settled_run, thread_id, run_id, access)
        if settled is not None:
            return raw_json(settled.result, headers=headers)
        await waiter.announce()
        return await _result(request, access, thread_id, run_id, waiter, headers, cancel, resources.pop_all())


async def joined_stream(
    request: Request, access: Access, thread_id: str, run_id: str, within: Access | None = None, base: str = ""
) -> Response:
    """The events of a run from now on, or from the last one that the client has seen."""
    frames = joined(
        request.app.state.server,
        access,
        thread_id,
        run_id,
        last_event_id=request.headers.get("last-event-id"),
        modes=_modes(request),
    )
    path = _path(thread_id, run_id, base)
    headers = {**SSE_HEADERS, "Content-Location": path, "Location": f"{path}/stream"}
    return StreamResponse(frames, headers, await _cancelling(request, thread_id, run_id, within))


async def _cancelling(
    request: Request, thread_id: str, run_id: str, within: Access | None
) -> Callable[[], Awaitable[None]] | None:
    """What cancels the run when the client goes away, if that is wanted. Whether it may is asked at once."""
    if request.query_params.get("cancel_on_disconnect", "").lower() not in ("true", "yes", "1"):
        return None
    access = await cancel_allowed(request, "interrupt", {"thread_id": thread_id, "run_id": run_id}, within)
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


async def runs_of_thread(request: Request, thread_id: str, within: Access | None = None) -> Response:
    """A page of the thread's runs."""
    server = request.app.state.server
    limit, offset = _list_limit(request), integer(request, "offset")
    status = request.query_params.get("status")
    if status is not None and status not in get_args(RunStatus):
        raise UnprocessableInput(f"Invalid status {status!r}: it must be one of {', '.join(get_args(RunStatus))}.")
    selected = request.query_params.getlist("select") or [*queries.WIRE_COLUMNS, SESSION_NAME]
    if unknown := set(selected) - {*queries.WIRE_COLUMNS, SESSION_NAME}:
        raise UnprocessableInput(f"Unknown fields to select: {', '.join(sorted(unknown))}.")
    page = {"limit": min(max(10 if limit is None else limit, 0), 1000), "offset": max(offset or 0, 0)}
    access = await allowed(request, "threads", "read", {"thread_id": thread_id}, within)
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


async def found_run(request: Request, thread_id: str, run_id: str, within: Access | None = None) -> Response:
    """A run of the thread."""
    access = await allowed(request, "threads", "read", {"thread_id": thread_id, "run_id": run_id}, within)
    run = await request.app.state.server.db.lookup(queries.find_run, thread_id, run_id, access)
    if run is None:
        raise NotFound(f"Run {run_id} not found on thread {thread_id}.")
    return json_response(run_to_wire(run._asdict()))


# --- ending


async def cancelled(
    request: Request, thread_id: str, run_id: str, within: Access | None = None, base: str = ""
) -> Response:
    """What becomes of a run that is to be cancelled: nothing to say, or its result if that is waited for."""
    server = request.app.state.server
    action = action_of(request)
    access = await cancel_allowed(request, action, {"thread_id": thread_id, "run_id": run_id}, within)
    wait = request.query_params.get("wait", "").lower() in ("true", "yes", "1")
    if not wait:
        await server.engine.cancel(access, thread_id, run_id, action)
        return empty(202)
    path = _path(thread_id, run_id, base)
    headers = {"Content-Location": path, "Location": f"{path}/join"}
    with ExitStack() as resources:
        waiter = resources.enter_context(server.bus.wait_for_end(run_id))
        await waiter.announce()
        await server.engine.cancel(access, thread_id, run_id, action)
        return await _result(request, access, thread_id, run_id, waiter, headers, None, resources.pop_all())


async def cancel_allowed(request: Request, action: str, asked: dict[str, Any], within: Access | None = None) -> Access:
    """The access to cancel runs with."""
    return await allowed(request, "threads", "update", {**asked, "metadata": {}, "action": action}, within)


def action_of(request: Request) -> str:
    """The query's ``action``. Raises UnprocessableInput."""
    action = request.query_params.get("action", "interrupt")
    if action not in get_args(CancelAction):
        raise UnprocessableInput(f"Invalid action {action!r}: it must be interrupt or rollback.")
    return action
