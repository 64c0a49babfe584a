"""Giving a new run to a worker in another process, in the transaction that creates it, where this one has no slot for it.

That spares a run its wait in the queue: a wake-up, and the transaction in which a worker claims it. The worker holds the run from the
creation on and learns of it by a message. Should that get lost the worker finds the run by itself, as it looks from time to time for what
it holds (`Worker`); should the worker be gone or say nothing any more, whoever has created the run takes it back to the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import ormsgpack
import structlog
from msgspec import Struct

from waystation.encoding import decode, encode
from waystation.runs import lifecycle
from waystation.runs.lifecycle import Claim, Claimed
from waystation.storage.database import Database
from waystation.streams.bus import Bus
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["Handover", "Note", "read_note"]

log = structlog.get_logger("waystation.runs")

LOOK_S = 1.0
"""How often it is looked whether workers that were given runs are still there."""

ON_THE_WAY_S = 2.0
"""How long a message may take that arrives."""

NOTE_BYTES = 64 * 1024
"""Arguments of a run that go into the message. The worker finds larger ones in the database."""


class Note(Struct, frozen=True):
    """What a worker is told of a run that it was given."""

    run_id: str
    until: int
    """When the worker's lease expires (microseconds since the epoch)."""
    run: Claimed | None
    """None when the worker has to look it up."""


class _Given(Struct):
    """A run that was given away, and has not been heard of since."""

    run_id: str
    claim: Claim
    given_at: float


class Handover:
    """Slots of workers in other processes, as `waystation.runs.worker.Worker` has them in this one. For one event loop.

    Workers renew their leases every `renewal_s` seconds: a lease that is still as it was given after that is not known to its worker.
    With `sealed`, what is stored is encrypted, and then arguments of runs are in no message: the worker reads them from the database."""

    def __init__(self, db: Database, bus: Bus, lease_s: float, renewal_s: float, *, sealed: bool) -> None:
        self._db = db
        self._bus = bus
        self._lease_us = int(lease_s * MICROSECONDS)
        self._renewed_s = renewal_s + ON_THE_WAY_S
        self._sealed = sealed
        self._given: list[_Given] = []
        self._look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after the runs that are given away."""
        loop = asyncio.get_running_loop()

        def look_soon() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is going away
                loop.call_soon_threadsafe(self._look.set)

        self._bus.offers.on_gone = look_soon
        self._task = asyncio.create_task(self._watch_over(), name="waystation-handover")

    async def stop(self) -> None:
        """Leave what was given away to the workers."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def reserve(self) -> Claim | None:
        """A free slot for a run that is being created, as `Worker.reserve`; it is passed on to `accept` or `release`."""
        if not self._bus.connected:
            return None
        address = self._bus.offers.take()
        return None if address is None else Claim(address, now_us() + self._lease_us)

    def release(self, claim: Claim) -> None:
        """Give back a slot that the run did not need."""
        self._bus.offers.put_back(claim.worker_id)

    def accept(self, run: Claimed) -> None:
        """Tell the worker of a run that was stored as its own."""
        self._given.append(_Given(run.run_id, run.claim, time.monotonic()))
        self._bus.hand_over(run.claim.worker_id, self._note(run))

    def _note(self, run: Claimed) -> bytes:
        kwargs = None if self._sealed else encode(run.kwargs)
        if kwargs is None or len(kwargs) > NOTE_BYTES:
            return ormsgpack.packb((run.run_id, run.claim.until, None))
        rest = (
            run.thread_id,
            run.assistant_id,
            run.graph_id,
            kwargs,
            run.created_at,
            run.listener,
            run.workspace,
            run.blank,
        )
        return ormsgpack.packb((run.run_id, run.claim.until, rest))

    async def _watch_over(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._take_back_lost()
            except Exception:
                log.exception("could not take runs back from a worker that is gone; it is tried again", every_s=LOOK_S)

    async def _take_back_lost(self) -> None:
        """Queue the runs anew whose worker is gone, or has neither been heard of since nor renewed its lease."""
        now = time.monotonic()
        lost: list[_Given] = []
        kept: list[_Given] = []
        for given in self._given:
            heard_at = self._bus.offers.heard_at(given.claim.worker_id)
            if heard_at is None:
                lost.append(given)
            elif heard_at > given.given_at + ON_THE_WAY_S:
                continue  # it goes on, and finds by itself what no message told it of
            elif now > given.given_at + self._renewed_s:
                lost.append(given)
            else:
                kept.append(given)
        self._given = kept
        if not lost:
            return
        try:
            back = await self._db.write(lifecycle.take_back, [(given.run_id, given.claim) for given in lost], now_us())
        except BaseException:
            self._given += lost
            raise
        if back:
            log.warning("took back runs from a worker that is gone", runs=back)
            self._bus.wake_workers()


def read_note(payload: bytes, worker_id: str) -> Note:
    """The note that `Handover` has sent to this worker. Raises ValueError or TypeError for anything else."""
    run_id, until, rest = ormsgpack.unpackb(payload)
    if rest is None:
        return Note(run_id, until, None)
    thread_id, assistant_id, graph_id, kwargs, created_at, listener, workspace, blank = rest
    run = Claimed(
        run_id=run_id,
        thread_id=thread_id,
        assistant_id=assistant_id,
        graph_id=graph_id,
        attempt=1,
        kwargs=decode(kwargs),
        created_at=created_at,
        listener=listener,
        tries=1,
        workspace=workspace,
        claim=Claim(worker_id, until),
        blank=blank,
    )
    return Note(run_id, until, run)
