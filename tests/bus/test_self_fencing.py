"""A worker whose process was stopped for longer than its leases last must not be heard of the runs it has lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.bus.events import RUN, THREAD
from tests.bus.fleet import Fleet
from tests.cli.command import Command
from tests.conftest import PROJECT
from tests.gate import Gate
from waystation.runs.leases import Leases
from waystation.runs.lifecycle import LeaseLost
from waystation.runs.worker import Timing
from waystation.storage.database import Database
from waystation.streams import queries
from waystation.streams.bus import MemoryBus, Subscription
from waystation.streams.events import Event, Positions
from waystation.streams.log import RunLog

LEASE_S = 0.2


class Holder:
    """A worker that holds a run, as long as `holds` is true."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.bus = MemoryBus()
        self.leases = Leases()
        self.holds = True
        self.asked = 0

    def guard(self, conn: Connection) -> Callable[[], None]:
        self.asked += 1
        if not self.holds:
            raise LeaseLost()
        return lambda: None

    def renew(self) -> None:
        self.leases.renewed(time.monotonic(), LEASE_S)

    def log(self, *, resumable: bool = False) -> RunLog:
        return RunLog(
            self.bus,
            self.db,
            Positions(),
            THREAD,
            RUN,
            resumable=resumable,
            attempt=1,
            guard=self.guard,
            term=self.leases.term,
        )


@pytest.fixture
def holder(db: Database) -> Holder:
    return Holder(db)


@contextmanager
def listening(holder: Holder) -> Iterator[Subscription]:
    with holder.bus.subscribe(THREAD) as subscription:
        yield subscription


async def said(subscription: Subscription) -> list[bytes]:
    return [event.data for event in await subscription.batch(0.05)]


async def test_a_good_lease_needs_no_database(holder: Holder) -> None:
    holder.renew()
    with listening(holder) as subscription:
        log = holder.log()
        log.emit("custom", 1)
        await log.flush()
        assert await said(subscription) == [b"1"]
    assert holder.asked == 0


async def test_a_lease_that_may_have_run_out_is_asked_for(holder: Holder) -> None:
    """And while it is, everything stays in order."""
    holder.renew()
    with listening(holder) as subscription:
        log = holder.log()
        await asyncio.sleep(LEASE_S)
        for n in range(3):
            log.emit("custom", n)
            await asyncio.sleep(0)
        await log.flush()
        assert await said(subscription) == [b"0", b"1", b"2"]
        assert holder.asked > 0
        holder.renew()
        asked = holder.asked
        for n in range(3, 9):
            log.emit("custom", n)
            await log.flush()
        assert await said(subscription) == [b"3", b"4", b"5", b"6", b"7", b"8"]
        assert holder.asked == asked + 1, "once for the new term"


async def test_what_was_lost_in_between_stays_lost(holder: Holder) -> None:
    """The worker renews the leases of the runs it still has: that says nothing of this one."""
    holder.renew()
    with listening(holder) as subscription:
        log = holder.log()
        await asyncio.sleep(LEASE_S)
        holder.holds = False
        holder.renew()
        for n in range(3):
            log.emit("custom", n)
            await log.flush()
        assert await said(subscription) == []
    assert holder.asked == 1, "muted for good"


async def test_nothing_is_stored_for_a_run_that_was_lost(holder: Holder) -> None:
    holder.renew()
    holder.holds = False
    with listening(holder) as subscription:
        log = holder.log(resumable=True)
        for n in range(3):
            log.emit("custom", n)
        await log.flush()
        assert await said(subscription) == []
    stored: list[Event] = await holder.db.read(queries.read_thread, THREAD, 0, 10)
    assert stored == []


def test_terms() -> None:
    leases = Leases()
    assert leases.term() is None, "nothing was committed yet"
    leases.renewed(time.monotonic(), 60)
    first = leases.term()
    leases.renewed(time.monotonic(), LEASE_S)
    assert leases.term() == first is not None
    time.sleep(LEASE_S)
    assert leases.term() is None
    leases.renewed(time.monotonic(), 60)
    assert leases.term() not in (first, None)
    leases.renewed(time.monotonic() - 100, 60)
    assert leases.term() is None, "it took longer to renew them than they last"


# --- a process that really stops


@pytest.fixture
def launch(tmp_path: Path, fleet: Fleet) -> Iterator[Any]:
    launched: list[Command] = []

    def begin() -> Command:
        environ = {**fleet.environ, "WAYSTATION_LEASE_SECS": "1"}
        launched.append(Command("worker", "--config", str(PROJECT), cwd=tmp_path, environ=environ))
        return launched[-1]

    yield begin
    for command in launched:
        command.close()


@pytest.mark.parametrize("resumable", [False, True])
async def test_a_worker_that_was_stopped_and_goes_on(fleet: Fleet, launch: Any, gate: Gate, resumable: bool) -> None:
    """Another worker has taken its run over. Clients hear what that one says, and nothing else."""
    stopped = launch()
    body = {"assistant_id": "ticking", "input": gate.state, "stream_mode": "custom", "stream_resumable": resumable}
    async with fleet.driver(fleet.start("api")) as driver:
        thread = await driver.thread()
        async with driver.streaming("POST", f"/threads/{thread}/runs/stream", json=body) as events:
            async for event in events:
                if event.name == "custom" and event.data["tick"] == 20:
                    break
            os.kill(stopped.pid, signal.SIGSTOP)
            fleet.worker(Timing(lease_s=60, safety_net_s=0.1))
            async for event in events:
                if event.name == "metadata":
                    break
            assert event.data["attempt"] == 2
            os.kill(stopped.pid, signal.SIGCONT)
            await asyncio.to_thread(stopped.wait_for, "lost the lease")
            ticks: list[int] = []
            async for event in events:
                assert event.name == "custom"
                ticks.append(event.data["tick"])
                if len(ticks) == 100:
                    gate.open()
        assert ticks == list(range(len(ticks)))
        settled = await driver.settled(thread)
        assert settled["values"]["log"] == [f"{len(ticks)} ticks"]
        (run,) = await driver.runs(thread)
        assert run["status"] == "success"
