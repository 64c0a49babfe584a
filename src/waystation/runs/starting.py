"""Starting runs for whoever asks: the routes of runs, MCP and A2A. Each listens before the run exists, so that nothing is missed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from starlette.requests import Request

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.http.authorization import access_of, allowed
from waystation.http.configurable import server_configurable
from waystation.runs.lifecycle import Created
from waystation.runs.models import RunCreate
from waystation.runs.order import Order, order_from
from waystation.runs.permission import creation_allowed
from waystation.runs.waiting import ResultWaiter
from waystation.streams.bus import EndWaiter, Subscription
from waystation.threads.ttl import default_ttl

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["OWN", "Within", "cancel_allowed", "canceller", "order_of", "start", "start_awaited", "start_followed"]

OWN = EVERYTHING
"""A request's access to the run it has just created, whoever may see it afterwards."""


class Within:
    """What else has to happen in the transaction that stores a run. Either may raise, and nothing happens then."""

    def before(self, conn: Connection) -> None:
        """With the thread locked, if there is one."""

    def after(self, conn: Connection) -> None:
        """With the run stored."""


def order_of(request: Request, body: RunCreate, thread_id: str | None) -> Order:
    """What the request orders: `thread_id` is None for a run on a thread of its own.

    Raises BadInput and UnprocessableInput for what the reference refuses (spec 5.2), UrlRefused for its webhook."""
    server: Server = request.app.state.server
    server.webhooks.check(body.webhook)
    if not server.webhooks.sent:
        body.webhook = None  # accepted, and nothing is sent (spec 11)
    return order_from(
        body,
        thread_id,
        server_configurable(request),
        access_of(request).user_id,
        default_ttl(server.config),
    )


async def start(request: Request, order: Order, within: Within | None = None) -> Created:
    """Ask the handlers about the run and store it. Raises what `creation_allowed` and `Engine.create` raise."""
    server: Server = request.app.state.server
    access, [order] = await creation_allowed(request, [order])
    return await _create(server, access, order, within)


async def start_awaited(
    request: Request, order: Order, resources: ExitStack, within: Within | None = None
) -> tuple[ResultWaiter, EndWaiter]:
    """`start`, and what waits for the run's result and its end, for as long as `resources` are open."""
    server: Server = request.app.state.server
    access, [order] = await creation_allowed(request, [order])
    waiter = resources.enter_context(server.bus.wait_for_end(order.run_id))
    order = replace(order, listener=server.bus.listener(end_only=True))
    await _create(server, access, order, within)
    return ResultWaiter(server, OWN, order.thread_id, order.run_id, waiter), waiter


async def start_followed(
    request: Request, order: Order, resources: ExitStack, within: Within | None = None
) -> Subscription:
    """`start`, and a subscription to the run's events, for as long as `resources` are open."""
    server: Server = request.app.state.server
    access, [order] = await creation_allowed(request, [order])
    subscription = resources.enter_context(server.bus.subscribe(order.thread_id, order.run_id))
    order = replace(order, listener=server.bus.listener())
    await _create(server, access, order, within)
    return subscription


async def _create(server: Server, access: Access, order: Order, within: Within | None) -> Created:
    if within is None:
        return await server.engine.create(access, order)

    def draw(conn: Connection) -> Order:
        within.before(conn)
        return order

    created = await server.engine.create_drawn(access, order.thread_id, draw, within.after)
    assert created is not None
    return created


async def cancel_allowed(request: Request, action: str, asked: Mapping[str, Any]) -> Access:
    """The access to cancel the runs that `asked` names. Raises what `allowed` raises."""
    return await allowed(request, "threads", "update", {**asked, "metadata": {}, "action": action})


def canceller(request: Request, access: Access, thread_id: str, run_id: str) -> Callable[[], Awaitable[None]]:
    """What cancels the run when its client goes away."""
    server: Server = request.app.state.server

    async def cancel() -> None:
        try:
            await server.engine.cancel(access, thread_id, run_id, "interrupt")
        except NotFound:
            return  # the run ended before its client went away

    return cancel
