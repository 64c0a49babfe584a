"""Starting runs for whoever asks: the routes of runs of either API, MCP and A2A. Each listens before the run exists, so that nothing is missed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
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

__all__ = [
    "OWN",
    "Alongside",
    "Store",
    "awaited",
    "cancel_allowed",
    "canceller",
    "followed",
    "order_of",
    "permitted",
    "start",
    "start_awaited",
    "start_followed",
]

OWN = EVERYTHING
"""A request's access to the run it has just created, whoever may see it afterwards."""


Store = Callable[[Order], Awaitable[Created]]
"""Stores the run that is ordered."""


class Alongside:
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


async def permitted(request: Request, order: Order, alongside: Alongside | None = None) -> tuple[Order, Store]:
    """The order as the project's handlers have left it, and what stores it. Raises what `creation_allowed` does."""
    server: Server = request.app.state.server
    access, [order] = await creation_allowed(request, [order])
    if alongside is None:
        return order, partial(server.engine.create, access)
    return order, partial(server.engine.create_on, access, prepare=alongside.before, then=alongside.after)


async def awaited(request: Request, order: Order, store: Store, resources: ExitStack) -> EndWaiter:
    """Store the run; what waits for its end, for as long as `resources` are open."""
    server: Server = request.app.state.server
    waiter = resources.enter_context(server.bus.wait_for_end(order.run_id))
    await store(replace(order, listener=server.bus.listener(end_only=True)))
    return waiter


async def followed(request: Request, order: Order, store: Store, resources: ExitStack) -> Subscription:
    """Store the run; a subscription to its events, for as long as `resources` are open."""
    server: Server = request.app.state.server
    subscription = resources.enter_context(server.bus.subscribe(order.thread_id, order.run_id))
    await store(replace(order, listener=server.bus.listener()))
    return subscription


async def start(request: Request, order: Order, alongside: Alongside | None = None) -> Created:
    """Ask the handlers about the run and store it. Raises what `creation_allowed` and `Engine.create` raise."""
    order, store = await permitted(request, order, alongside)
    return await store(order)


async def start_awaited(
    request: Request, order: Order, resources: ExitStack, alongside: Alongside | None = None
) -> tuple[ResultWaiter, EndWaiter]:
    """`start`, and what waits for the run's result and its end, for as long as `resources` are open."""
    order, store = await permitted(request, order, alongside)
    waiter = await awaited(request, order, store, resources)
    return ResultWaiter(request.app.state.server, OWN, order.thread_id, order.run_id, waiter), waiter


async def start_followed(
    request: Request, order: Order, resources: ExitStack, alongside: Alongside | None = None
) -> Subscription:
    """`start`, and a subscription to the run's events, for as long as `resources` are open."""
    order, store = await permitted(request, order, alongside)
    return await followed(request, order, store, resources)


async def cancel_allowed(
    request: Request, action: str, asked: Mapping[str, Any], within: Access | None = None
) -> Access:
    """The access to cancel the runs that `asked` names, `within` what the caller may see at most. Raises what `allowed` raises."""
    return await allowed(request, "threads", "update", {**asked, "metadata": {}, "action": action}, within)


def canceller(request: Request, access: Access, thread_id: str, run_id: str) -> Callable[[], Awaitable[None]]:
    """What cancels the run when its client goes away."""
    server: Server = request.app.state.server

    async def cancel() -> None:
        try:
            await server.engine.cancel(access, thread_id, run_id, "interrupt")
        except NotFound:
            return  # the run ended before its client went away

    return cancel
