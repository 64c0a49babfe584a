"""``input.inject``: something is said to an agent that is at work (spec 13.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError
from sqlalchemy import Connection, Row
from starlette.requests import Request

from waystation.assistants.runnable import input_keys, runnable
from waystation.auth.access import EVERYTHING
from waystation.http.authorization import allowed
from waystation.http.bodies import Body, describe
from waystation.protocol.models import CommandFailed
from waystation.protocol.orders import body_of, order_on
from waystation.runs import queries
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.threads import require_thread

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["inject"]


class Said(Body):
    """A message, and the name of whoever says it."""

    role: Literal["user", "system"]
    content: str
    name: str | None = None


class Injection(Body):
    """What is said, and to whom."""

    message: Said
    namespace: list[str] = Field(default_factory=list)


async def inject(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Have the message read by the agent that is at work on the thread. LangGraph takes no input in the middle of a run, so it is
    the input of a run behind it and behind what waits already: nothing of the work is lost, nor is the message, not even in a crash.

    Raises CommandFailed for parameters that are wrong and when nobody is at work, and what `Engine.create` raises."""
    try:
        said = Injection.model_validate(dict(params))
    except ValidationError as error:
        raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None
    if said.namespace:
        raise CommandFailed("not_supported", "A message goes to the agent itself: namespace must be [].")
    server: Server = request.app.state.server
    readable = await allowed(request, "threads", "read", {"thread_id": thread_id})
    await server.db.lookup(require_thread, thread_id, readable)
    at_work = await server.db.lookup(_at_work, thread_id)
    if "messages" not in await input_keys(request, await runnable(request, at_work.assistant_id)):
        raise CommandFailed("not_supported", f"The graph {at_work.graph_id!r} takes no messages.")
    message = said.message.model_dump(exclude_none=True)
    body = body_of(assistant_id=at_work.assistant_id, input={"messages": [message]}, multitask_strategy="enqueue")
    access, [order] = await creation_allowed(request, [order_on(request, thread_id, body)])

    def draw(conn: Connection) -> Order:
        _at_work(conn, thread_id)
        return order

    await server.engine.create_drawn(access, thread_id, draw)
    return {"run_id": order.run_id}


def _at_work(conn: Connection, thread_id: str) -> Row[*tuple[Any, ...]]:
    """The run that is going on, or comes next. Raises CommandFailed without one."""
    for going in queries.active_runs(conn, thread_id):
        if (run := queries.find_run(conn, thread_id, going.run_id, EVERYTHING)) is not None:
            return run
    raise CommandFailed("no_such_run", "No run is going on the thread; start one with run.start.")
