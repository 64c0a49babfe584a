"""A bus that loses events: whoever follows a resumable run gets each of them once and in order, from the database if need be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import Connection, insert, update

from tests.bus.events import positions
from waystation.storage.database import Database
from waystation.storage.tables import runs, threads
from waystation.streams.bus import MemoryBus
from waystation.streams.events import BEGINNING, Event, Positions, RunEnd
from waystation.streams.following import Follower
from waystation.streams.log import RunLog
from waystation.timestamps import now_us

HEARTBEAT_S = 0.15


class Past:
    """What happened on a thread, as the workers published it; all of it is stored, and the runs are settled."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.thread = str(uuid4())
        self.runs: list[str] = []
        self.positions = Positions()
        self.events: list[Event] = []

    async def attempt(
        self, number: int, events: int, *, run: str | None = None, resumable: bool = True, final: bool = True
    ) -> list[Event]:
        """One attempt of a run, of a new one unless told otherwise. Returns what it published."""
        if run is None:
            run = str(uuid4())
            await self.db.write(_insert, self.thread, run, first=not self.runs)
            self.runs.append(run)
        bus = MemoryBus()
        with bus.subscribe(self.thread) as subscription:
            log = RunLog(bus, self.db, self.positions, self.thread, run, resumable=resumable, attempt=number)
            if number > 1:
                log.resume_after(max(positions([e for e in self.events if e.run_id == run and e.end is None])))
            for n in range(events):
                log.emit("custom", {"attempt": number, "n": n})
                if n % 3 == 0:
                    await log.flush()
            await log.flush()
            if final:
                await self.db.write(_settle, run)
                log.end(RunEnd("success", b"{}"))
            published = await subscription.batch(1)
        self.events += published
        return published

    def stored(self, run: str | None = None) -> list[int]:
        return positions([e for e in self.events if e.end is None and e.resumable and run in (None, e.run_id)])


def _insert(conn: Connection, thread: str, run: str, *, first: bool) -> None:
    now = now_us()
    if first:
        times = {"created_at": now, "updated_at": now, "state_updated_at": now}
        state = {"status": "busy", "rest_status": "idle", "metadata": {}, "config": {}, "interrupts": {}}
        conn.execute(insert(threads), {"thread_id": thread, **times, **state})
    row = {"run_id": run, "thread_id": thread, "assistant_id": "a", "graph_id": "g", "status": "running", "attempt": 1}
    more = {"metadata": {}, "kwargs": {}, "multitask_strategy": "enqueue", "created_at": now, "updated_at": now}
    conn.execute(insert(runs), {**row, **more})


def _settle(conn: Connection, run: str) -> None:
    conn.execute(update(runs).where(runs.c.run_id == run).values(status="success", settled_at=now_us()))


@pytest.fixture
def past(db: Database) -> Past:
    return Past(db)


@contextmanager
def following(past: Past, run: str | None = None, after: int = BEGINNING) -> Iterator[tuple[MemoryBus, Follower]]:
    bus = MemoryBus()
    with bus.subscribe(past.thread, run) as subscription:
        yield bus, Follower(past.db, bus, subscription, HEARTBEAT_S, after=after, stored=True)


async def until_ends(follower: Follower, ends: int = 1) -> list[Event]:
    """All events up to the given number of ends."""
    seen: list[Event] = []
    async with asyncio.timeout(20), aclosing(follower.batches()) as batches:
        async for events in batches:
            seen += events
            if sum(event.end is not None for event in seen) == ends:
                return seen
    raise AssertionError("the stream ended by itself")


def told(events: Sequence[Event]) -> list[int]:
    """The positions of all that is no end."""
    return positions([event for event in events if event.end is None])


async def test_nothing_lost(past: Past) -> None:
    (run,) = [(await past.attempt(1, 10))[0].run_id]
    with following(past, run) as (bus, follower):
        bus.publish(past.events)
        assert await until_ends(follower) == past.events


@pytest.mark.parametrize("lost", [(0,), (0, 1, 2), (4,), (4, 5, 7), (9,), (8, 9), (10,), (7, 8, 9, 10), range(11)])
async def test_what_is_lost_is_read_again(past: Past, lost: Sequence[int]) -> None:
    """Ten events and the end: at the beginning, in the middle, the last ones, the end, everything."""
    await past.attempt(1, 10)
    with following(past, past.runs[0]) as (bus, follower):
        bus.publish([event for n, event in enumerate(past.events) if n not in lost])
        seen = await until_ends(follower)
    assert told(seen) == past.stored()
    assert seen[-1].end is not None
    assert all(event.resumable for event in seen[:-1])


async def test_a_gap_is_filled_before_the_run_ends(past: Past) -> None:
    """By the next event that arrives."""
    await past.attempt(1, 10)
    with following(past, past.runs[0]) as (bus, follower):
        async with aclosing(follower.batches()) as batches:
            bus.publish([past.events[3]])
            seen: list[Event] = []
            while len(seen) < 4:
                seen += await anext(batches)
            assert told(seen)[:4] == past.stored()[:4]


@pytest.mark.parametrize("lost", [(), (3,), (4,), (3, 4, 5), (9,), range(4, 10)])
async def test_attempts_are_one_chain(past: Past, lost: Sequence[int]) -> None:
    """Five events, then a second attempt with five more."""
    await past.attempt(1, 5, final=False)
    await past.attempt(2, 5, run=past.runs[0])
    with following(past, past.runs[0]) as (bus, follower):
        bus.publish([event for n, event in enumerate(past.events) if n not in lost])
        assert told(await until_ends(follower)) == past.stored()


async def test_a_late_attempt_is_not_heard(past: Past) -> None:
    """Its process was stopped while another one went on with the run: neither its events nor its end count."""
    first = await past.attempt(1, 4, resumable=False)
    second = await past.attempt(2, 4, run=past.runs[0], resumable=False)
    with following(past, past.runs[0]) as (bus, follower):
        bus.publish([*first[:2], *second[:2], *first[2:], *second[2:]])
        assert await until_ends(follower) == [*first[:2], *second]


async def test_joining_in_the_middle_misses_nothing_that_comes_later(past: Past) -> None:
    await past.attempt(1, 10)
    with following(past, past.runs[0], after=past.events[4].position) as (bus, follower):
        bus.publish([past.events[8]])
        assert told(await until_ends(follower)) == past.stored()[5:]


async def test_the_end_of_a_run_comes_late_after_it_was_found(past: Past) -> None:
    await past.attempt(1, 3)
    with following(past) as (bus, follower):
        bus.publish(past.events[:3])
        first = await until_ends(follower)
        bus.publish(past.events[3:])
        await past.attempt(1, 2)
        bus.publish(past.events[4:])
        second = await until_ends(follower)
    assert told(first) + told(second) == past.stored()
    assert [e.run_id for e in [*first, *second] if e.end is not None] == past.runs


@pytest.mark.parametrize("lost", [(), (0, 1), (2, 3), (3,), (3, 4), (2, 3, 4, 5), (7,), (6, 7), (1, 3, 5, 7)])
async def test_a_thread_with_runs_one_after_the_other(past: Past, lost: Sequence[int]) -> None:
    """Three events and the end, twice: the ends are told in their places as well, those of runs that were heard of."""
    await past.attempt(1, 3)
    await past.attempt(1, 3)
    with following(past) as (bus, follower):
        bus.publish([event for n, event in enumerate(past.events) if n not in lost])
        seen = await until_ends(follower, 2)
    assert told(seen) == past.stored()
    first, second = past.runs
    assert [event.run_id for event in seen] == [first] * 4 + [second] * 4
    assert [event.end is not None for event in seen] == ([False] * 3 + [True]) * 2
    assert positions(seen) == sorted(set(positions(seen)))


async def test_a_thread_with_a_run_that_is_not_stored(past: Past) -> None:
    await past.attempt(1, 3)
    await past.attempt(1, 3, resumable=False)
    await past.attempt(1, 3)
    with following(past) as (bus, follower):
        bus.publish([event for n, event in enumerate(past.events) if n not in (1, 2, 8, 9)])
        seen = await until_ends(follower, 3)
    assert told(seen) == told(past.events)


@pytest.mark.parametrize("seed", range(25))
async def test_chance(past: Past, seed: int) -> None:
    """Any events lost, any arriving twice, in batches of any size, while runs and attempts go on."""
    chance = random.Random(seed)
    for _ in range(3):
        await past.attempt(1, chance.randint(1, 8), final=False)
        await past.attempt(2, chance.randint(1, 8), run=past.runs[-1])
    whole, of_run = following(past), following(past, past.runs[1])
    with whole as (bus, follower), of_run as (other, run_follower):

        async def publish() -> None:
            for event in past.events:
                for on in (bus, other):
                    on.publish([event] * chance.choice((0, 1, 1, 2)))
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.choice((0, 0.001)))

        publishing = asyncio.create_task(publish())
        seen = await asyncio.gather(_all_of(follower, past.stored()), until_ends(run_follower))
        await publishing
    assert told(seen[0]) == past.stored()
    assert positions(seen[0]) == sorted(set(positions(seen[0])))
    assert told(seen[1]) == past.stored(past.runs[1])


async def _all_of(follower: Follower, stored: Sequence[int]) -> list[Event]:
    """What comes until the last stored event, and a heartbeat later."""
    seen: list[Event] = []
    async with asyncio.timeout(20), aclosing(follower.batches()) as batches:
        async for events in batches:
            seen += events
            if not events and set(stored) <= set(told(seen)):
                return seen
    raise AssertionError("the stream ended by itself")
