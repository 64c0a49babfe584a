"""The run state machine. Nothing else writes the status of a run or a thread.

States of a run::

    pending ──claim──► running ──► success | error | timeout | interrupted (= cancelled)
        ▲                 │
        └─ requeue ───────┘   (worker died or shut down; attempt + 1, resumes from its last checkpoint)

A run is *held* while a worker has it (``worker_id`` set) and *settled* once its final state is committed
(``settled_at`` set). Cancelling a held run makes it ``interrupted`` at once, but it stays held until its worker has really
stopped and settles it; until then the thread is busy and no other run starts on it. A held run that is rolled back is
invisible and is deleted when its worker settles it.

The status of a thread follows from its runs, in the same transaction: ``busy`` while any run is unsettled, otherwise its
*rest status*: what the last settled run or state edit left behind (idle, interrupted or error).

Every function takes a `Connection` and is meant to run inside one `Database.write`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, Row

from waystation.assistants import NOT_RUNNABLE, Assistant, ask_for
from waystation.auth.access import EVERYTHING, Access
from waystation.errors import Conflict, NotFound, WaystationError
from waystation.runs import queries
from waystation.runs.notices import leave_notice
from waystation.runs.order import Order, configured, merged_thread_config
from waystation.storage import checkpoints
from waystation.storage.driver import Asked
from waystation.streams import last_words
from waystation.threads.ttl import ttl_columns, ttl_of_run
from waystation.timestamps import MICROSECONDS

__all__ = [
    "NOTHING",
    "Claim",
    "Claimed",
    "Created",
    "LeaseLost",
    "Outcome",
    "Settled",
    "ask_lease",
    "cancel",
    "cancelled_of",
    "claim",
    "create",
    "delete",
    "fence",
    "guard",
    "in_flight_runs",
    "next_due_at",
    "record_state",
    "renew",
    "requeue",
    "requeuing",
    "require_lease",
    "require_no_run_in_flight",
    "settling",
    "take_over_expired",
]

NEVER = 2**62
"""A time that every lease expires before."""

NOTHING = b"{}"
"""What a client that waits for a run gets when the run never started."""

SUPERSEDED = "superseded by run {run_id}"
CANCELLED = "cancelled by the user"

Kind = Literal["success", "error", "timeout", "stopped"]


class LeaseLost(WaystationError):
    """Another worker has taken the run over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's offer to execute a run: who it is and until when its lease lasts (microseconds)."""

    worker_id: str
    until: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run as its worker needs it."""

    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str
    attempt: int
    kwargs: Mapping[str, Any]
    created_at: int
    listener: str | None
    """The process that waits for the run or streams it (`waystation.streams.bus`)."""
    tries: int
    """Attempts, this one included, without those that a shutdown cut short."""
    workspace: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class Created:
    """What creating a run did."""

    run: dict[str, Any]
    """The run's row at creation."""
    claimed: Claimed | None
    """Set when the offered worker got the run right away."""
    stopped: list[str] = field(default_factory=list)
    """Held runs that must stop now: the multitask strategy cancelled them."""
    gone: list[str] = field(default_factory=list)
    """Runs that were cancelled before any worker had them: their streams end now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, as its worker saw it."""

    kind: Kind
    values: Any = None
    """The thread's state, JSON-encodable; None keeps the former values."""
    interrupts: dict[str, Any] | None = None
    pending: bool = False
    """Whether the graph has nodes left to run: it waits for an interrupt to be answered."""
    error: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling a run did."""

    status: str
    """The final status; ``rollback`` for a run that is deleted."""
    more: bool
    """Whether the thread has further runs waiting."""


# --- creating


def create(
    conn: Connection, access: Access, graphs: Container[str], order: Order, now: int, offer: Claim | None
) -> Created:
    """Store a run, apply its multitask strategy to the runs in its way, and give it to `offer`'s worker if it may start.

    Raises NotFound (assistant, or a missing thread that is not to be created), Conflict (``reject`` on a busy thread),
    UnprocessableInput (an assistant id that is neither a UUID nor a graph)."""
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
    stopped, gone = _clear_the_way(conn, run_id, in_the_way, order, now) if in_the_way else ([], [])
    due = now + int(order.after_s * MICROSECONDS)
    start = offer is not None and due <= now and len(gone) == len(active)
    kwargs, metadata = _prepare_thread(conn, order, thread, assistant, now, access.home, was_busy=bool(active))
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
    claimed = _claimed(row, offer) if offer and start else None
    return Created({**row, "status": "pending"}, claimed, stopped, gone)


def _is_somebody_elses(conn: Connection, access: Access, order: Order) -> bool:
    """Whether there is a thread with the order's id although the caller sees none."""
    if order.stateless or access == EVERYTHING:
        return False
    return queries.find_thread(conn, order.thread_id, EVERYTHING) is not None


def _claimed(row: Mapping[str, Any], claim: Claim) -> Claimed:
    return Claimed(
        row["run_id"],
        row["thread_id"],
        row["assistant_id"],
        row["graph_id"],
        row["attempt"],
        row["kwargs"],
        row["created_at"],
        row["listener"],
        row["attempt"] - row.get("handed_back", 0),
        row["workspace"],
        claim,
    )


def _prepare_thread(
    conn: Connection,
    order: Order,
    thread: Row[*tuple[Any, ...]] | None,
    assistant: Assistant,
    now: int,
    workspace: str,
    *,
    was_busy: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the thread in the `workspace`, or mark it (spec 5.3, thread side effects); the run's kwargs and metadata."""
    own = {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id}
    requested = order.kwargs["config"]
    if thread is None:
        thread_metadata = {**own, **(requested.get("metadata") or {}), **order.metadata}
        thread_config: dict[str, Any] = {}
    elif was_busy:
        thread_metadata, thread_config = thread.metadata, thread.config
    else:
        thread_metadata = {**thread.metadata, **own}
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
        return kwargs, metadata
    changes: dict[str, Any] = {} if own_ttl is None else ttl_columns(own_ttl, now)
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
        held = _stop(conn, run.run_id, run.worker_id, order.multitask_strategy, reason, now)
        (stopped if held else gone).append(run.run_id)
    name = "UserRollback" if order.multitask_strategy == "rollback" else "UserInterrupt"
    queries.set_thread(conn, order.thread_id, error={"error": name, "message": reason}, updated_at=now)
    return stopped, gone


def _stop(conn: Connection, run_id: str, worker_id: str | None, action: str, reason: str, now: int) -> bool:
    """Cancel a run that is not settled. True when a worker holds it and has to stop and settle it first."""
    if worker_id is not None:
        queries.set_run(conn, run_id, status="interrupted", stop_action=action, stop_reason=reason, updated_at=now)
        return True
    leave_notice(conn, run_id, "rollback" if action == "rollback" else "interrupted", now)
    if action == "rollback":
        queries.delete_run(conn, run_id)
    else:
        queries.set_run(conn, run_id, status="interrupted", stop_action=action, updated_at=now, settled_at=now)
    return False


# --- executing


def claim(conn: Connection, offer: Claim, limit: int, now: int) -> list[Claimed]:
    """Give the offering worker at most `limit` due runs, oldest first; never two of one thread."""
    rows = queries.claim(conn, offer.worker_id, limit, now, offer.until)
    return [_claimed(row._asdict(), offer) for row in rows]


def require_lease(conn: Connection, run_id: str, worker_id: str, attempt: int) -> Row[*tuple[Any, ...]]:
    """Raise LeaseLost unless the worker still holds the run in this attempt. Returns what settling needs of the run."""
    return _lease_of(queries.ask_held(conn, run_id, worker_id, attempt), run_id, worker_id, attempt)


def _lease_of(asked: Asked, run_id: str, worker_id: str, attempt: int) -> Row[*tuple[Any, ...]]:
    row: Row[*tuple[Any, ...]] | None = asked.first()
    if row is None:
        raise LeaseLost(f"Run {run_id} is no longer held by worker {worker_id} in attempt {attempt}.")
    return row


def guard(conn: Connection, run: Claimed) -> None:
    """Raise LeaseLost unless the run is still held in this attempt."""
    ask_lease(conn, run)()


def ask_lease(conn: Connection, run: Claimed) -> Callable[[], Row[*tuple[Any, ...]]]:
    """Ask whether the run is still held in this attempt: first thing in every transaction that writes for it. What this returns
    is called before the transaction ends: the run's row, or LeaseLost is raised."""
    holder = run.run_id, run.claim.worker_id, run.attempt
    return partial(_lease_of, queries.ask_held(conn, *holder), *holder)


def requeue(conn: Connection, run: Claimed, now: int) -> str:
    """Hand a held run back to the queue, because its process shuts down: that does not use up an attempt. Returns its status:
    a run that was cancelled meanwhile is not queued again but keeps waiting for a worker to settle it. Raises LeaseLost."""
    return requeuing(conn, run, now)()


def requeuing(conn: Connection, run: Claimed, now: int) -> Callable[[], str]:
    """Ask what `requeue` has to know. What this returns does it, in the same transaction."""
    lease = ask_lease(conn, run)

    def status() -> str:
        row = lease()
        if row.stop_action is None:
            queries.set_run(
                conn,
                run.run_id,
                status="pending",
                worker_id=None,
                lease_expires_at=None,
                handed_back=row.handed_back + 1,
                updated_at=now,
            )
            return "pending"
        return str(row.status)

    return status


def settling(
    conn: Connection, run: Claimed, outcome: Outcome, now: int, *, result: bytes | None = None
) -> Callable[[], Settled]:
    """Ask what has to be known to settle a run. What this returns does it, in the same transaction: it commits the run's final
    state together with what follows for its thread, or raises LeaseLost; then nothing is changed.

    `result` is what waiting clients get (JSON), given for a temporary run that is followed from another process: there it has
    to be found when the run is gone."""
    queries.lock_thread(conn, run.thread_id)
    lease = ask_lease(conn, run)
    active = None if run.kwargs.get("temporary") else queries.ask_active(conn, run.thread_id)
    return lambda: _settle(conn, run, outcome, now, lease(), active, result)


def _settle(
    conn: Connection,
    run: Claimed,
    outcome: Outcome,
    now: int,
    row: Row[*tuple[Any, ...]],
    active: Asked | None,
    result: bytes | None,
) -> Settled:
    status = _final_status(row, outcome)
    if run.kwargs.get("webhook"):
        leave_notice(conn, run.run_id, status, now, values=outcome.values, error=outcome.error)
    if active is None:
        if result is not None:
            last_words.leave(conn, run.run_id, status, result, now)
        none_stored = not run.kwargs.get("resumable")
        queries.delete_thread(conn, run.thread_id, keep_events=none_stored or result is not None)
        return Settled(status, more=False)
    more = any(other.run_id != run.run_id for other in active.rows())
    if row.stop_action == "rollback":
        checkpoints.delete_for_runs(conn, run.thread_id, [run.run_id])
        queries.delete_run(conn, run.run_id)
        _settle_thread(
            conn, run.thread_id, now, more, error=_stopped("UserRollback", row.stop_reason), rest_status=None
        )
        return Settled("rollback", more)
    queries.set_run(
        conn, run.run_id, status=status, worker_id=None, lease_expires_at=None, updated_at=now, settled_at=now
    )
    error = _stopped("UserInterrupt", row.stop_reason) if row.stop_action else outcome.error
    if outcome.kind in ("error", "timeout") and not row.stop_action:
        rest_status = "error"
    else:
        rest_status = "interrupted" if outcome.pending else "idle"
    changes: dict[str, Any] = {"state_updated_at": now}
    if outcome.values is not None:
        changes["values"] = outcome.values
    if outcome.interrupts is not None:
        changes["interrupts"] = outcome.interrupts
    _settle_thread(conn, run.thread_id, now, more, error=error, rest_status=rest_status, **changes)
    return Settled(status, more)


def _final_status(row: Row[*tuple[Any, ...]], outcome: Outcome) -> str:
    if row.stop_action is not None:
        return "rollback" if row.stop_action == "rollback" else "interrupted"
    return "interrupted" if outcome.kind == "stopped" else outcome.kind


def _stopped(name: str, reason: str | None) -> dict[str, str]:
    return {"error": name, "message": reason or CANCELLED}


def _settle_thread(
    conn: Connection, thread_id: str, now: int, more: bool, *, error: Any, rest_status: str | None, **changes: Any
) -> None:
    """Write the thread's status after one of its runs was settled. `more` says whether others are waiting."""
    if rest_status is None:
        thread = queries.find_thread(conn, thread_id, EVERYTHING)
        rest_status = thread.rest_status if thread is not None else "idle"
    queries.set_thread(
        conn,
        thread_id,
        status="busy" if more else rest_status,
        rest_status=rest_status,
        error=error,
        updated_at=now,
        renew_ttl=True,
        **changes,
    )


def renew(conn: Connection, offer: Claim, run_ids: Sequence[str]) -> None:
    """Extend the leases of the runs that the worker really executes. One that it holds but no longer executes, because it
    could not be settled, expires and is tried again."""
    queries.renew(conn, offer.worker_id, run_ids, offer.until)


def next_due_at(conn: Connection, now: int) -> int | None:
    """When the next run that was scheduled for later is due."""
    return queries.next_due_at(conn, now)


def cancelled_of(conn: Connection, worker_id: str) -> list[str]:
    """Ids of the runs a worker holds that it has to stop."""
    return queries.cancelled_of(conn, worker_id)


def fence(conn: Connection, run: Claimed, offer: Claim) -> Claimed:
    """Start a new attempt of a held run, so that nothing the old one still does can reach the database. Raises LeaseLost."""
    require_lease(conn, run.run_id, run.claim.worker_id, run.attempt)
    attempt = run.attempt + 1
    queries.set_run(conn, run.run_id, worker_id=offer.worker_id, lease_expires_at=offer.until, attempt=attempt)
    return replace(run, attempt=attempt, claim=offer)


def take_over_expired(conn: Connection, offer: Claim, now: int, *, everything: bool) -> tuple[list[str], list[Claimed]]:
    """Deal with runs whose worker has died: the ids of those that went back to the queue, and the cancelled ones, which the
    offering worker now holds and has to settle. `everything` treats every other worker as dead."""
    requeued: list[str] = []
    to_settle: list[Claimed] = []
    for row in queries.expired(conn, NEVER if everything else now):
        if row.stop_action is None:
            queries.set_run(conn, row.run_id, status="pending", worker_id=None, lease_expires_at=None, updated_at=now)
            requeued.append(row.run_id)
        else:
            held = Claim(row.worker_id, row.lease_expires_at)
            to_settle.append(fence(conn, _claimed(row._asdict(), held), offer))
    return requeued, to_settle


# --- cancelling and deleting


def cancel(
    conn: Connection, access: Access, thread_id: str | None, run_id: str, action: str, now: int
) -> tuple[str, bool]:
    """Cancel a run. Returns its thread and whether a worker holds it and has to stop first.

    Raises NotFound for a run that is unknown, finished, or being cancelled already."""
    run = _locked_run(conn, access, thread_id, run_id)
    if run.status not in ("pending", "running"):
        raise NotFound(f"Run {run_id} is not in flight: its status is {run.status}.")
    held = _stop(conn, run_id, run.worker_id, action, CANCELLED, now)
    if not held:
        if run.kwargs.get("temporary"):
            if run.listener is not None:
                last_words.leave(conn, run_id, "interrupted", NOTHING, now)
            queries.delete_thread(conn, run.thread_id, keep_events=run.listener is not None)
        else:
            _refresh_thread(conn, run.thread_id, now)
    return run.thread_id, held


def _locked_run(conn: Connection, access: Access, thread_id: str | None, run_id: str) -> Row[*tuple[Any, ...]]:
    """A run whose thread is locked, so that the run stays as it is. Raises NotFound."""
    run = queries.find_run(conn, thread_id, run_id, access)
    if run is not None and conn.dialect.name != "sqlite":
        queries.lock_thread(conn, run.thread_id)
        run = queries.find_run(conn, thread_id, run_id, access)
    if run is None:
        raise NotFound(f"Run {run_id} not found.")
    return run


def delete(
    conn: Connection, access: Access, thread_id: str, run_id: str, now: int
) -> Literal["held", "queued", "settled"]:
    """Delete a run with its checkpoints. Returns what it was; one that a worker holds vanishes once that has stopped.

    Raises NotFound."""
    run = _locked_run(conn, access, thread_id, run_id)
    if run.worker_id is not None:
        _stop(conn, run_id, run.worker_id, "rollback", CANCELLED, now)
        return "held"
    if run.settled_at is None:
        leave_notice(conn, run_id, "rollback", now)
    checkpoints.delete_for_runs(conn, thread_id, [run_id])
    queries.delete_run(conn, run_id)
    _refresh_thread(conn, thread_id, now)
    return "queued" if run.settled_at is None else "settled"


def _refresh_thread(conn: Connection, thread_id: str, now: int) -> None:
    """Derive the thread's status anew after an unsettled run went away without having run."""
    thread = queries.find_thread(conn, thread_id, EVERYTHING)
    if thread is None:
        return
    status = "busy" if queries.active_runs(conn, thread_id) else thread.rest_status
    if status != thread.status:
        queries.set_thread(conn, thread_id, status=status, updated_at=now)


# --- for other features


def in_flight_runs(conn: Connection, thread_ids: Sequence[str]) -> list[str]:
    """Ids of the unsettled runs of these threads."""
    return [run.run_id for thread_id in thread_ids for run in queries.active_runs(conn, thread_id)]


def require_no_run_in_flight(conn: Connection, thread_id: str) -> None:
    """Raise Conflict when the thread has an unsettled run (spec 4.3)."""
    if active := queries.active_runs(conn, thread_id):
        raise Conflict(f"Thread {thread_id} is busy with run {active[0].run_id}; its state cannot be edited now.")


def record_state(
    conn: Connection,
    thread_id: str,
    *,
    values: Any,
    interrupts: dict[str, Any],
    pending: bool,
    now: int,
    if_in_flight: Literal["refuse", "keep"] = "refuse",
    failed: bool | None = None,
) -> None:
    """Store the state that an edit left behind, or the deletion of a run: then `failed` says whether the run that is now the
    last one did, and the error of the deleted one is forgotten.

    Raises Conflict when a run is in flight, unless told to keep the status."""
    queries.lock_thread(conn, thread_id)
    if if_in_flight == "refuse":
        require_no_run_in_flight(conn, thread_id)
    rest_status = "error" if failed else "interrupted" if pending else "idle"
    status = "busy" if queries.active_runs(conn, thread_id) else rest_status
    changes: dict[str, Any] = {} if failed is None else {"error": None}
    queries.set_thread(
        conn,
        thread_id,
        status=status,
        rest_status=rest_status,
        values=values,
        interrupts=interrupts,
        updated_at=now,
        state_updated_at=now,
        **changes,
    )
