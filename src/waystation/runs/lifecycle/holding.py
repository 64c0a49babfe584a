"""Holding a run: claims, leases and what becomes of runs whose worker has died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, Row

from waystation.runs import queries
from waystation.runs.lifecycle.records import Claim, Claimed, LeaseLost, claimed
from waystation.storage.driver import Asked

__all__ = [
    "ask_lease",
    "claim",
    "fence",
    "guard",
    "holdings",
    "let_go",
    "next_due_at",
    "renew",
    "requeue",
    "requeuing",
    "require_lease",
    "take_back",
    "take_over_expired",
    "take_up",
]

NEVER = 2**62
"""A time that every lease expires before."""


def claim(conn: Connection, offer: Claim, limit: int, now: int) -> list[Claimed]:
    """Give the offering worker at most `limit` due runs, oldest first; never two of one thread."""
    rows = queries.claim(conn, offer.worker_id, limit, now, offer.until)
    return [claimed(row._asdict(), offer) for row in rows]


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


def ask_lease(conn: Connection, run: Claimed, *, and_others: bool = False) -> Callable[[], Row[*tuple[Any, ...]]]:
    """Ask whether the run is still held in this attempt: first thing in every transaction that writes for it. What this returns
    is called before the transaction ends: the run's row, or LeaseLost is raised. With `and_others` the row says whether the
    thread, which has to be locked, has ``others`` that are not settled."""
    holder = run.run_id, run.claim.worker_id, run.attempt
    ask = queries.ask_held_and_others if and_others else queries.ask_held
    return partial(_lease_of, ask(conn, *holder), *holder)


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
            _queue_again(conn, [row], now)
            return "pending"
        return str(row.status)

    return status


def renew(conn: Connection, offer: Claim, run_ids: Sequence[str]) -> None:
    """Extend the leases of the runs that the worker really executes. One that it holds but no longer executes, because it
    could not be settled, expires and is tried again."""
    queries.renew(conn, offer.worker_id, run_ids, offer.until)


def next_due_at(conn: Connection, now: int) -> int | None:
    """When the next run that was scheduled for later is due."""
    return queries.next_due_at(conn, now)


def holdings(conn: Connection, worker_id: str) -> list[Row[*tuple[Any, ...]]]:
    """``run_id``, ``stop_action`` and ``updated_at`` of each run that a worker holds."""
    return queries.holdings(conn, worker_id)


def take_up(conn: Connection, offer: Claim, run_ids: Sequence[str]) -> tuple[list[Claimed], list[str]]:
    """Begin with those of the runs that the offering worker holds and does not execute: it was given them without its knowledge, or
    could not settle them. Returns each in a new attempt, and the ids of those that are to be stopped."""
    taken: list[Claimed] = []
    stopped: list[str] = []
    for row in queries.holding(conn, offer.worker_id, run_ids):
        run = fence(conn, claimed(row._asdict(), Claim(row.worker_id, row.lease_expires_at)), offer)
        taken.append(replace(run, tries=run.tries + 1))
        if row.stop_action is not None:
            stopped.append(row.run_id)
    return taken, stopped


def take_back(conn: Connection, given: Sequence[tuple[str, Claim]], now: int) -> int:
    """Queue runs anew that were given to workers as they were created, with these claims. One whose lease has been renewed since
    is known to its worker. Returns how many; a run that was cancelled meanwhile waits for its lease to expire."""
    by_worker: dict[str, dict[str, Claim]] = {}
    for run_id, claim in given:
        by_worker.setdefault(claim.worker_id, {})[run_id] = claim
    lost = [
        row
        for worker_id, claims in by_worker.items()
        for row in queries.holding(conn, worker_id, list(claims))
        if row.attempt == 1 and row.lease_expires_at == claims[row.run_id].until and row.stop_action is None
    ]
    return _queue_again(conn, lost, now)


def let_go(conn: Connection, worker_id: str, run_ids: Sequence[str], now: int) -> int:
    """Queue those of the runs anew that the worker holds, which it does not execute. Returns how many."""
    rows = [row for row in queries.holding(conn, worker_id, run_ids) if row.stop_action is None]
    return _queue_again(conn, rows, now)


def _queue_again(
    conn: Connection, rows: Sequence[Row[*tuple[Any, ...]]], now: int, *, attempt_counts: bool = False
) -> int:
    """Put held runs back into the queue. Unless its `attempt_counts`, none has used up one. Returns how many."""
    for row in rows:
        queries.set_run(
            conn,
            row.run_id,
            status="pending",
            worker_id=None,
            lease_expires_at=None,
            handed_back=row.handed_back + (not attempt_counts),
            updated_at=now,
        )
    return len(rows)


def fence(conn: Connection, run: Claimed, offer: Claim) -> Claimed:
    """Start a new attempt of a held run, so that nothing the old one still does can reach the database. Raises LeaseLost."""
    require_lease(conn, run.run_id, run.claim.worker_id, run.attempt)
    attempt = run.attempt + 1
    queries.set_run(conn, run.run_id, worker_id=offer.worker_id, lease_expires_at=offer.until, attempt=attempt)
    return replace(run, attempt=attempt, claim=offer, blank=False)


def take_over_expired(conn: Connection, offer: Claim, now: int, *, everything: bool) -> tuple[list[str], list[Claimed]]:
    """Deal with runs whose worker has died: the ids of those that went back to the queue, and the cancelled ones, which the
    offering worker now holds and has to settle. `everything` treats every other worker as dead."""
    requeued: list[str] = []
    to_settle: list[Claimed] = []
    for row in queries.expired(conn, NEVER if everything else now):
        if row.stop_action is None:
            _queue_again(conn, [row], now, attempt_counts=True)
            requeued.append(row.run_id)
        else:
            held = Claim(row.worker_id, row.lease_expires_at)
            to_settle.append(fence(conn, claimed(row._asdict(), held), offer))
    return requeued, to_settle
