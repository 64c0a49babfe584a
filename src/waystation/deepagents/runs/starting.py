"""Starting runs of agents: what a request orders, and what has to hold in the transaction that stores it."""

from __future__ import annotations

from functools import partial

from msgspec import Struct
from sqlalchemy import Connection
from starlette.requests import Request
from uuid_utils import uuid7

from waystation.auth.access import Access
from waystation.deepagents.errors import ThreadNotFound
from waystation.deepagents.identity import principal_of
from waystation.deepagents.runs.admission import TIMEZONE
from waystation.deepagents.runs.queries import require_thread_of
from waystation.deepagents.threads import queries as threads
from waystation.deepagents.threads.calls import ThreadCall
from waystation.deepagents.threads.models import NewThread
from waystation.runs.models import RunCreateStateful
from waystation.runs.order import Order
from waystation.runs.permission import creation_allowed
from waystation.runs.starting import Store, order_of
from waystation.threads.ttl import default_ttl
from waystation.timestamps import now_us

__all__ = ["Start"]


class Start(Struct, frozen=True):
    """A run that the caller may start, as far as is known before it is stored."""

    run: RunCreateStateful
    order: Order
    store: Store

    @classmethod
    async def on(cls, request: Request, run: RunCreateStateful, thread_id: str, timezone: str | None = None) -> Start:
        """A run on a thread that there is. Storing it raises ThreadNotFound, WrongAgent and AgentGone as well."""
        access, order = await _permitted(request, run, thread_id, timezone)
        agent_id = run.assistant_id

        def prepare(conn: Connection) -> None:
            require_thread_of(conn, thread_id, agent_id, access)

        engine = request.app.state.server.engine
        return cls(run, order, partial(engine.create_on, access, prepare=prepare))

    @classmethod
    async def on_new(
        cls, request: Request, run: RunCreateStateful, thread: NewThread, timezone: str | None = None
    ) -> Start:
        """A run on a thread that is made with it, or that is there already if `thread` allows it. Storing it raises what making
        a thread raises."""
        thread_id = thread.thread_id or str(uuid7())
        call = await ThreadCall.of(request, "create", thread.asked(thread_id))
        access, order = await _permitted(request, run, thread_id, timezone)
        agent_id, ttl = run.assistant_id, default_ttl(call.server.config)

        def prepare(conn: Connection) -> None:
            if thread.if_exists == "do_nothing" and _is_there(conn, thread_id, access):
                require_thread_of(conn, thread_id, agent_id, access)
                return
            threads.create(
                conn, thread_id, agent_id, thread, call.metadata, call.principal, call.access, access, ttl, now_us()
            )

        return cls(run, order, partial(call.server.engine.create_on, access, prepare=prepare, new_thread=True))


async def _permitted(
    request: Request, run: RunCreateStateful, thread_id: str, timezone: str | None
) -> tuple[Access, Order]:
    """The access to create the run with, to the caller's own threads, and its order."""
    principal = principal_of(request)
    order = order_of(request, run, thread_id)
    if timezone is not None:
        order.kwargs["config"]["configurable"][TIMEZONE] = timezone
    access, [order] = await creation_allowed(request, [order])
    return access.owning(principal.user_id), order


def _is_there(conn: Connection, thread_id: str, access: Access) -> bool:
    try:
        threads.find(conn, thread_id, access)
    except ThreadNotFound:
        return False
    return True
