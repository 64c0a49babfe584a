"""Creating a run: its thread, and the runs that are in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from sqlalchemy import Connection, Row

from waystation.assistants import NOT_RUNNABLE, Assistant, ask_for
from waystation.auth.access import EVERYTHING, Access
from waystation.auth.user import AUTH_USER_ID
from waystation.errors import Conflict, NotFound
from waystation.graphs.own import Admission, Arrival, OwnGraph
from waystation.runs import queries
from waystation.runs.lifecycle.cancellation import stop
from waystation.runs.lifecycle.records import Claim, Created, claimed
from waystation.runs.order import Order, configured, merged_thread_config
from waystation.storage.sealing import CONTEXT_KEY, current_context
from waystation.streams import queries as event_queries
from waystation.threads.interrupts import open_interrupts
from waystation.threads.owned import derived_title
from waystation.threads.ttl import ttl_columns, ttl_of_run
from waystation.timestamps import MICROSECONDS

if TYPE_CHECKING:
    from waystation.graphs import Graphs

__all__ = ["create"]

SUPERSEDED = "superseded by run {run_id}"


def create(conn: Connection, access: Access, graphs: Graphs, order: Order, now: int, offer: Claim | None) -> Created:
    """Store a run, apply its multitask strategy to the runs in its way, and give it to `offer`'s worker if it may start.

    Raises NotFound (assistant, or a missing thread that is not to be created), Conflict (``reject`` on a busy thread),
    UnprocessableInput (an assistant id that is neither a UUID nor a graph), and what a graph of the server's own refuses it with."""
    run_id, thread_id = order.run_id, order.thread_id
    found = ask_for(conn, access, order.assistant_id, graphs)
    asked = None if order.stateless else queries.ask_thread(conn, thread_id, access, lock=True)
    asked_active = None if order.stateless else queries.ask_active(conn, thread_id)
    assistant = found()
    thread = asked.first() if asked is not None else None
    if thread is None and (not order.create_thread or _is_somebody_elses(conn, access, order)):
        raise NotFound(NOT_RUNNABLE)
    active = asked_active.rows() if asked_active is not None and thread is not None else []
    in_the_way = [run for run in active if run.status != "interrupted"]
    if in_the_way and order.multitask_strategy == "reject":
        raise Conflict(
            f"Thread {thread_id} has a run in flight ({in_the_way[0].run_id}); this run may not wait for it."
        )
    admission = None
    if (own := graphs.own(assistant.graph_id)) is not None:
        admission = _admission(conn, own, access, order, assistant, thread, busy=bool(active))
        order = _admitted(order, admission)
    stopped, gone = _clear_the_way(conn, run_id, in_the_way, order, now) if in_the_way else ([], [])
    due = now + int(order.after_s * MICROSECONDS)
    start = offer is not None and due <= now and len(gone) == len(active)
    members = {} if admission is None else admission.metadata
    kwargs, metadata = _prepare_thread(conn, order, thread, assistant, now, access.home, members, was_busy=bool(active))
    if admission is not None and admission.columns:
        queries.set_thread(conn, thread_id, title=derived_title(order.kwargs.get("input")), **admission.columns)
    if context := current_context():
        kwargs[CONTEXT_KEY] = dict(context)
    row = {
        "run_id": run_id,
        "thread_id": thread_id,
        "assistant_id": assistant.assistant_id,
        "graph_id": assistant.graph_id,
        "status": "running" if start else "pending",
        "metadata": metadata,
        "kwargs": kwargs,
        "multitask_strategy": order.multitask_strategy,
        "created_at": due,
        "updated_at": now,
        "attempt": 1 if start else 0,
        "worker_id": offer.worker_id if offer and start else None,
        "lease_expires_at": offer.until if offer and start else None,
        "started_at": now if start else None,
        "listener": order.listener,
        "workspace": access.home if thread is None else thread.workspace,
    }
    queries.insert_run(conn, row)
    blank = order.stateless or (thread is not None and bool(thread.blank) and not active)
    given = claimed(row, offer, blank=blank) if offer and start else None
    return Created({**row, "status": "pending"}, given, stopped, gone)


def _admission(
    conn: Connection,
    own: OwnGraph,
    access: Access,
    order: Order,
    assistant: Assistant,
    thread: Row[*tuple[Any, ...]] | None,
    *,
    busy: bool,
) -> Admission:
    """What a graph of the server's own makes of the run. Raises its refusal."""
    arrival = Arrival(
        access=access,
        identity=order.server_configurable.get(AUTH_USER_ID),
        assistant_id=assistant.assistant_id,
        thread_id=order.thread_id,
        thread=thread,
        interrupts=[] if thread is None else open_interrupts(thread.interrupts),
        busy=busy,
        command=order.kwargs["command"],
        configurable={**(order.kwargs["context"] or {}), **(order.kwargs["config"].get("configurable") or {})},
    )
    return own.admit(conn, arrival)


def _admitted(order: Order, admission: Admission) -> Order:
    return replace(
        order,
        kwargs={**order.kwargs, "command": admission.command},
        server_configurable={**order.server_configurable, **admission.configurable},
    )


def _is_somebody_elses(conn: Connection, access: Access, order: Order) -> bool:
    """Whether there is a thread with the order's id although the caller sees none."""
    if order.stateless or access == EVERYTHING:
        return False
    return queries.find_thread(conn, order.thread_id, EVERYTHING) is not None


def _prepare_thread(
    conn: Connection,
    order: Order,
    thread: Row[*tuple[Any, ...]] | None,
    assistant: Assistant,
    now: int,
    workspace: str,
    members: Mapping[str, Any],
    *,
    was_busy: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the thread in the `workspace`, or mark it (spec 5.3, thread side effects); the run's kwargs and metadata. `members` of the
    thread's metadata are above all others."""
    own = {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
    requested = order.kwargs["config"]
    if thread is None:
        thread_metadata = {**own, **(requested.get("metadata") or {}), **order.metadata, **members}
        thread_config: dict[str, Any] = {}
    elif was_busy:
        thread_metadata, thread_config = {**thread.metadata, **members}, thread.config
    else:
        thread_metadata = {**thread.metadata, **own, **members}
        thread_config = merged_thread_config(assistant.config or {}, thread.config or {}, requested)
    kwargs, metadata = configured(
        order,
        assistant=assistant,
        thread_metadata=thread_metadata,
        thread_config=thread_config,
    )
    own_ttl = ttl_of_run(kwargs["config"]["configurable"])
    if thread is None:
        queries.insert_thread(
            conn,
            {
                "thread_id": order.thread_id,
                "status": "busy",
                "rest_status": "idle",
                "metadata": thread_metadata,
                "config": {},
                "values": None,
                "interrupts": {},
                "created_at": now,
                "updated_at": now,
                "state_updated_at": now,
                **ttl_columns(own_ttl or order.default_ttl, now),
                "workspace": workspace,
            },
        )
        if (
            not order.stateless
        ):  # the client has chosen the id: what is left of an earlier thread's stream is not for this one
            event_queries.delete_of_thread(conn, order.thread_id)
        return kwargs, metadata
    changes: dict[str, Any] = {} if own_ttl is None else ttl_columns(own_ttl, now)
    if thread.untitled and (title := derived_title(order.kwargs.get("input"))) is not None:
        changes["title"] = title
    if members:
        changes["metadata"] = thread_metadata
    if not was_busy:
        changes.update(status="busy", metadata=thread_metadata, config=thread_config)
    if changes:
        queries.set_thread(conn, order.thread_id, renew_ttl=own_ttl is None, updated_at=now, **changes)
    return kwargs, metadata


def _clear_the_way(
    conn: Connection, run_id: str, active: Sequence[Row[*tuple[Any, ...]]], order: Order, now: int
) -> tuple[list[str], list[str]]:
    """Carry out the strategies ``interrupt`` and ``rollback`` on the thread's runs that nobody has cancelled yet (spec 7)."""
    stopped: list[str] = []
    gone: list[str] = []
    if order.multitask_strategy not in ("interrupt", "rollback"):
        return stopped, gone
    reason = SUPERSEDED.format(run_id=run_id)
    for run in active:
        held = stop(conn, run.run_id, order.multitask_strategy, reason, now)
        (stopped if held else gone).append(run.run_id)
    name = "UserRollback" if order.multitask_strategy == "rollback" else "UserInterrupt"
    queries.set_thread(conn, order.thread_id, error={"error": name, "message": reason}, updated_at=now)
    return stopped, gone
