"""The engine: what routes and other features ask of runs. It puts state changes, signals and live events together."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING, Access
from waystation.errors import NotFound
from waystation.futures import until_done
from waystation.observability.figures import QueueFigures, WorkerFigures
from waystation.observability.tracing import Tracing
from waystation.runs import lifecycle, queries
from waystation.runs.capacity import Capacity
from waystation.runs.handover import Handover
from waystation.runs.lifecycle import Claim, Created
from waystation.runs.order import Order
from waystation.runs.waiting import until_over
from waystation.runs.worker import Worker
from waystation.storage.database import Database
from waystation.streams.bus import Bus
from waystation.streams.events import Event, Positions, RunEnd
from waystation.timestamps import MICROSECONDS, now_us

if TYPE_CHECKING:
    from waystation.graphs import Graphs

__all__ = ["Engine"]

MaybeCreated = TypeVar("MaybeCreated", bound=Created | None)

STOP_WAIT_S = 15
"""How long deleting a running run waits for it to stop; it vanishes later in any case."""


class Engine:
    """Creates, cancels and deletes runs, and tells workers and listeners about it. `worker` is that of this process, if it has
    one; other processes are reached through the bus. A new run that this process has no slot for is given to one of theirs by
    the `handover`."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        positions: Positions,
        graphs: Graphs,
        worker: Worker | None,
        handover: Handover | None,
        capacity: Capacity,
        tracing: Tracing | None = None,
    ) -> None:
        self._db = db
        self._bus = bus
        self._positions = positions
        self._graphs = graphs
        self._worker = worker
        self._handover = handover
        self._capacity = capacity
        self._tracing = tracing
        self.on_notice: Callable[[], None] = lambda: None
        """Called when a run that never started may have left a notice for its webhook."""

    async def create(self, access: Access, order: Order) -> Created:
        """Store a run and start it if it may start. Raises what `lifecycle.create` raises."""
        return (await self.create_all(access, [order]))[0]

    async def create_all(self, access: Access, orders: Sequence[Order]) -> list[Created]:
        """Store several runs, all or none. A caller that is cancelled meanwhile leaves nothing half done."""
        await self._capacity.reserve(len(orders))
        orders = [self._traced(order) for order in orders]
        offers = [self._offer(order) for order in orders]
        write = self._db.write_few if len(orders) == 1 else self._db.write
        return await self._stored(offers, lambda: write(_create_all, access, self._graphs, orders, now_us(), offers))

    async def create_drawn(
        self,
        access: Access,
        thread_id: str | None,
        draw: Callable[[Connection], Order | None],
        then: Callable[[Connection], None] = lambda conn: None,
    ) -> Created | None:
        """Store the run that `draw` orders, in one transaction with what `draw` does and, once the run is stored, what `then` does;
        None when it orders none. `thread_id` is that of the run, if `draw` is to find the thread locked. Raises what `create`,
        `draw` and `then` raise."""
        await self._capacity.reserve(1)
        offer = self._reserve()
        [created] = await self._stored(
            [offer],
            lambda: self._db.write(_create_drawn, access, self._graphs, thread_id, draw, then, now_us(), offer),
        )
        return created

    def _traced(self, order: Order) -> Order:
        """The order with the trace that its run belongs to."""
        if self._tracing is None or not (carrier := self._tracing.carrier()):
            return order
        return replace(order, kwargs={**order.kwargs, "trace": carrier})

    async def create_on(
        self,
        access: Access,
        order: Order,
        prepare: Callable[[Connection], None],
        then: Callable[[Connection], None] = lambda conn: None,
        *,
        new_thread: bool = False,
    ) -> Created:
        """`create`, between what `prepare` and `then` do in the same transaction, such as making the thread if it is a `new_thread`.
        Raises what `create`, `prepare` and `then` raise."""
        traced = self._traced(order)

        def draw(conn: Connection) -> Order:
            prepare(conn)
            return traced

        created = await self.create_drawn(access, None if new_thread else order.thread_id, draw, then)
        assert created is not None
        return created

    async def _stored(
        self, offers: Sequence[Claim | None], write: Callable[[], Awaitable[list[MaybeCreated]]]
    ) -> list[MaybeCreated]:
        """What `write` stores, one for each offer, after what follows from it. That follows as well if the caller is cancelled
        meanwhile."""
        try:
            writing = asyncio.ensure_future(write())
        except BaseException:
            self._not_created(offers)
            raise
        try:
            await until_done(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(partial(self._written_unseen, offers))
            raise
        return self._written(offers, writing)

    def _written_unseen(self, offers: Sequence[Claim | None], writing: asyncio.Future[list[MaybeCreated]]) -> None:
        """The caller went away before the runs were stored. They are all the same, or else nobody wants to know."""
        with contextlib.suppress(Exception):
            self._written(offers, writing)

    def _written(
        self, offers: Sequence[Claim | None], writing: asyncio.Future[list[MaybeCreated]]
    ) -> list[MaybeCreated]:
        """What follows from storing runs. Raises what that raised."""
        try:
            created = writing.result()
        except BaseException:
            self._not_created(offers)
            raise
        pending = sum(each is not None and each.claimed is None for each in created)
        self._capacity.settle(len(offers), pending=pending)
        for each, offer in zip(created, offers, strict=True):
            if each is None:
                self._release(offer)
            else:
                self._created(each, offer)
        return created

    def _not_created(self, offers: Sequence[Claim | None]) -> None:
        self._capacity.settle(len(offers), pending=0)
        for offer in offers:
            self._release(offer)

    def _offer(self, order: Order) -> Claim | None:
        return self._reserve() if order.after_s == 0 else None

    def _reserve(self) -> Claim | None:
        """A free slot, here or else in another process."""
        offer = self._worker.reserve() if self._worker is not None else None
        if offer is None and self._handover is not None:
            offer = self._handover.reserve()
        return offer

    def _slots_of(self, offer: Claim) -> Worker | Handover:
        if self._worker is not None and offer.worker_id == self._worker.worker_id:
            return self._worker
        assert self._handover is not None
        return self._handover

    def _release(self, offer: Claim | None) -> None:
        if offer is not None:
            self._slots_of(offer).release(offer)

    def _created(self, created: Created, offer: Claim | None) -> None:
        if created.stopped:
            self._stop(created.stopped)
        for run_id in created.gone:
            self._ended(created.run["thread_id"], run_id, "interrupted")
        if created.claimed is not None:
            self._slots_of(created.claimed.claim).accept(created.claimed)
            return
        self._release(offer)
        later = created.run["created_at"] > created.run["updated_at"]
        self._wake(created.run["created_at"] if later else 0)

    def _wake(self, due_us: int = 0) -> None:
        """The queue holds a run, for now or for later, that any worker may take."""
        if self._worker is not None and due_us:
            self._worker.wake_at(due_us)
        elif self._worker is not None:
            self._worker.wake()
        self._bus.wake_workers(due_us)

    def _stop(self, run_ids: Sequence[str]) -> None:
        """These runs were cancelled or deleted: whoever executes them has to stop."""
        elsewhere = self._worker.stop(run_ids) if self._worker is not None else run_ids
        if elsewhere:
            self._bus.stop_runs(elsewhere)

    async def cancel(self, access: Access, thread_id: str | None, run_id: str, action: str) -> None:
        """Cancel a run (spec 7.1). It is `interrupted` when this returns, and settled as soon as it has stopped.

        Raises NotFound for a run that is unknown or finished."""
        cancelled = await self._db.write(lifecycle.cancel, access, thread_id, run_id, action, now_us())
        self._cancelled(run_id, *cancelled)

    async def cancel_all(
        self,
        access: Access,
        *,
        statuses: tuple[str, ...] = (),
        thread_id: str | None = None,
        run_ids: Sequence[str] = (),
        action: str,
    ) -> None:
        """Cancel all runs in one of `statuses`, or the given runs of a thread. Raises NotFound when there is none."""
        cancelled = await self._db.write(_cancel_all, access, statuses, thread_id, run_ids, action, now_us())
        for run_id, of_thread, held in cancelled:
            self._cancelled(run_id, of_thread, held)
        if not cancelled:
            raise NotFound("No run to cancel was found.")

    def _cancelled(self, run_id: str, thread_id: str, held: bool) -> None:
        if held:
            self._stop([run_id])
        else:
            self._ended(thread_id, run_id, "interrupted")
            self._wake()

    async def delete(self, access: Access, thread_id: str, run_id: str) -> Literal["held", "queued", "settled"]:
        """Delete a run with its checkpoints, stopping it first if need be; returns what it was. Raises NotFound."""
        with self._bus.wait_for_end(run_id) as waiter:
            was = await self._db.write(lifecycle.delete, access, thread_id, run_id, now_us())
            if was == "held":
                await waiter.announce()
                self._stop([run_id])
                await until_over(self._db, self._bus, waiter, STOP_WAIT_S)
            elif was == "queued":
                self._ended(thread_id, run_id, "rollback")
                self._wake()
        return was

    async def stop_deleted(self, run_ids: list[str]) -> None:
        """The rows of these runs are gone with their thread: stop executing them."""
        self._stop(run_ids)

    async def cancel_assistant_runs(self, assistant_id: str) -> None:
        """Cancel what an assistant that is being deleted has in flight."""
        for run_id, thread_id, held in await self._db.write(_cancel_assistant, assistant_id, now_us()):
            self._cancelled(run_id, thread_id, held)

    async def runs_of_assistant(self, assistant_id: str) -> list[tuple[str, str]]:
        """The runs that an assistant has in flight, each with its thread."""
        found = await self._db.read(queries.runs_of_assistant, assistant_id)
        return [(row.run_id, row.thread_id) for row in found]

    async def queue_figures(self) -> QueueFigures:
        """How long the queue is and how long its runs have waited."""
        now = now_us()
        waiting, running = await self._db.read(queries.queue_figures, now)
        seen: set[str] = set()
        unblocked = []
        for row in sorted(waiting):
            if row.thread_id not in seen and not row.blocked:
                unblocked.append(now - row.created_at)
            seen.add(row.thread_id)
        waits = [now - row.created_at for row in waiting]
        return QueueFigures(
            pending=len(waits),
            running=running,
            wait_max_s=max(waits, default=0) / MICROSECONDS,
            wait_med_s=statistics.median(waits or [0]) / MICROSECONDS,
            unblocked_pending=len(unblocked),
            unblocked_wait_max_s=max(unblocked, default=0) / MICROSECONDS,
            unblocked_wait_med_s=statistics.median(unblocked or [0]) / MICROSECONDS,
        )

    def worker_figures(self) -> WorkerFigures:
        """How busy this process's worker is."""
        return self._worker.figures() if self._worker is not None else WorkerFigures(max=0, active=0, available=0)

    def _ended(self, thread_id: str, run_id: str, status: str) -> None:
        """Tell listeners of a run that no worker will ever settle."""
        self.on_notice()
        end = RunEnd(status, lifecycle.NOTHING)
        self._bus.proclaim(Event(self._positions.next(), thread_id, run_id, "", b"", end=end))


def _create_all(
    conn: Connection,
    access: Access,
    graphs: Graphs,
    orders: Sequence[Order],
    now: int,
    offers: Sequence[Claim | None],
) -> list[Created]:
    return [
        lifecycle.create(conn, access, graphs, order, now, offer) for order, offer in zip(orders, offers, strict=True)
    ]


def _create_drawn(
    conn: Connection,
    access: Access,
    graphs: Graphs,
    thread_id: str | None,
    draw: Callable[[Connection], Order | None],
    then: Callable[[Connection], None],
    now: int,
    offer: Claim | None,
) -> list[Created | None]:
    if thread_id is not None:
        queries.lock_thread(conn, thread_id)
    order = draw(conn)
    if order is None:
        return [None]
    created = lifecycle.create(conn, access, graphs, order, now, offer)
    then(conn)
    return [created]


def _cancel_all(
    conn: Connection,
    access: Access,
    statuses: tuple[str, ...],
    thread_id: str | None,
    run_ids: Sequence[str],
    action: str,
    now: int,
) -> list[tuple[str, str, bool]]:
    if statuses:
        chosen = [(row.run_id, row.thread_id) for row in queries.runs_by_status(conn, statuses, access)]
    else:
        in_flight = set(lifecycle.in_flight_runs(conn, [thread_id] if thread_id else []))
        chosen = [(run_id, thread_id) for run_id in dict.fromkeys(run_ids) if run_id in in_flight]
    cancelled = []
    for run_id, of_thread in chosen:
        try:
            cancelled.append((run_id, *lifecycle.cancel(conn, access, of_thread, run_id, action, now)))
        except NotFound:
            continue  # finished meanwhile, or never there: the others are cancelled all the same
    return cancelled


def _cancel_assistant(conn: Connection, assistant_id: str, now: int) -> list[tuple[str, str, bool]]:
    rows = queries.runs_of_assistant(conn, assistant_id)
    return [
        (row.run_id, *lifecycle.cancel(conn, EVERYTHING, row.thread_id, row.run_id, "interrupt", now)) for row in rows
    ]
