"""Redis goes away and comes back: nothing hangs, and what was only late arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import structlog

from tests.bus.conftest import Member, Process
from tests.bus.events import RUN, THREAD, end, event, positions, received, until
from tests.bus.redis_server import RedisServer, command
from waystation.streams.bus import Subscription
from waystation.streams.events import RunEnd
from waystation.streams.parcels import FORMAT

FAR_AHEAD = "9999999999999-0"


async def both(one: Member, two: Member, *, connected: bool) -> None:
    await until(lambda: one.bus.connected is two.bus.connected is connected, f"both being connected: {connected}")


@pytest.mark.parametrize("keep_data", [True, False])
async def test_events_of_a_short_outage_are_only_late(
    process: Process, own_redis: RedisServer, keep_data: bool
) -> None:
    """With its data or without: what could not be sent waits in the process that has it."""
    async with process(own_redis.url) as api, process(own_redis.url) as worker:
        with api.bus.subscribe(THREAD) as subscription, api.bus.wait_for_end(RUN) as waiter:
            await subscription.announce()
            await waiter.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(n) for n in range(10)])
            assert positions(await received(subscription, 10)) == list(range(10))
            own_redis.kill()
            await both(api, worker, connected=False)
            worker.bus.publish([event(n) for n in range(10, 20)])
            worker.bus.publish([end(20)])
            assert subscription.doubted()
            assert await waiter.end(0) is None, "told to look in the database"
            await own_redis.restart(keep_data=keep_data)
            await both(api, worker, connected=True)
            assert positions(await received(subscription, 11)) == list(range(10, 21))
            while (told := await waiter.end(15)) is None:
                pass
            assert told == RunEnd("success", b"{}")


async def test_nothing_arrives_twice_after_an_answer_was_lost(process: Process, own_redis: RedisServer) -> None:
    """Whoever does not know whether something was sent sends it again."""
    async with process(own_redis.url) as api, process(own_redis.url) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            seen: list[int] = []
            for round_ in range(12):
                worker.bus.publish([event(round_ * 50 + n, 3_000) for n in range(50)])
                await asyncio.sleep(0.002 * (round_ % 4))
                await command(own_redis.url, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await asyncio.sleep(0.1)
            seen = positions(await received(subscription, 600))
            assert seen == list(range(600))
            assert await subscription.batch(0.3) == [] or subscription.doubted()


async def test_ids_that_went_back_are_noticed_at_the_next_connection(
    process: Process, own_redis: RedisServer, key_prefix: str
) -> None:
    """The clock of the new server is behind: a read from the old place would wait for years."""
    async with process(own_redis.url) as api, process(own_redis.url, executes=True) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            for key in (f"{key_prefix}:{FORMAT}:control", f"{key_prefix}:{FORMAT}:inbox:{api.bus.address}"):
                await command(own_redis.url, "XADD", key, FAR_AHEAD, "d", "")
            await asyncio.sleep(0.1)
            own_redis.kill()
            await both(api, worker, connected=False)
            await own_redis.restart(keep_data=False)
            await both(api, worker, connected=True)
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(1)])
            assert positions(await received(subscription, 1)) == [1]
            api.bus.stop_runs(["a"])
            await until(lambda: worker.stopped == ["a"], "the signal")


async def test_data_lost_without_a_lost_connection(
    process: Process, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody empties Redis."""
    monkeypatch.setattr("waystation.streams.redis_link.UPKEEP_S", 0.1)
    async with process(own_redis.url) as api, process(own_redis.url, executes=True) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            subscription.doubted()
            await command(own_redis.url, "FLUSHALL")
            assert await subscription.batch(15) == []
            assert subscription.doubted(), "what was in it may have been for us"
            await both(api, worker, connected=True)
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(1)])
            assert positions(await received(subscription, 1)) == [1]


async def test_an_inbox_is_emptied_once_it_was_read(
    process: Process, own_redis: RedisServer, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystation.streams.redis_link.UPKEEP_S", 0.1)
    async with process(own_redis.url) as api, process(own_redis.url) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(n, 10_000) for n in range(1000)])
            await received(subscription, 1000)
            inbox = f"{key_prefix}:{FORMAT}:inbox:{api.bus.address}"
            for _ in range(500):
                if await command(own_redis.url, "MEMORY", "USAGE", inbox, "SAMPLES", "0") < 600_000:
                    break
                await asyncio.sleep(0.01)
            assert await command(own_redis.url, "MEMORY", "USAGE", inbox, "SAMPLES", "0") < 600_000
            worker.bus.publish([event(1000)])
            assert positions(await received(subscription, 1)) == [1000]


async def test_publishing_costs_nothing_while_redis_is_away(process: Process, own_redis: RedisServer) -> None:
    """What does not fit is dropped, the end of a run without its result is kept, and the listener is told of the gap."""
    async with process(own_redis.url) as api, process(own_redis.url, outbox_bytes=100_000) as worker:
        with api.bus.subscribe(THREAD) as subscription, api.bus.wait_for_end(RUN) as waiter:
            await subscription.announce()
            await waiter.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            own_redis.kill()
            await both(api, worker, connected=False)
            for n in range(10_000):
                worker.bus.publish([event(n, 1_000)])
            worker.bus.publish([end(10_000, result=b"x" * 100_000)])
            worker.bus.wake_workers()
            worker.bus.stop_runs(["a"])
            subscription.doubted()
            await own_redis.restart(keep_data=True)
            await both(api, worker, connected=True)
            *some, last = await received(subscription, 77)
            assert positions(some) == list(range(76)), "what there was room for"
            assert last.end is not None
            await until(lambda: waiter.ended, "the end without its result")
            await until(subscription.doubted, "the doubt")
            await until(lambda: api.stopped == ["a"], "the signal")


async def test_a_gap_is_noticed_by_the_next_thing_that_arrives(process: Process) -> None:
    async with process() as api, process(outbox_bytes=10_000) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(1)])
            assert positions(await received(subscription, 1)) == [1]
            worker.bus.publish([event(2, 20_000)])
            assert not subscription.doubted()
            worker.bus.publish([event(3)])
            assert positions(await received(subscription, 1)) == [3]
            await until(subscription.doubted, "the doubt")


@dataclass
class Listening:
    """A process that listens to another one."""

    api: Member
    worker: Member
    subscription: Subscription

    async def hears_of(self, position: int) -> None:
        """Late, but it does."""
        await both(self.api, self.worker, connected=True)
        assert positions(await received(self.subscription, 1)) == [position]


@asynccontextmanager
async def listening(process: Process, url: str) -> AsyncIterator[Listening]:
    async with process(url) as api, process(url) as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            yield Listening(api, worker, subscription)


async def test_redis_answers_no_more(process: Process, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hangs up."""
    monkeypatch.setattr("waystation.streams.redis_wire.EXCHANGE_S", 0.3)
    monkeypatch.setattr("waystation.streams.redis_link.BLOCK_S", 1)
    async with listening(process, own_redis.url) as pair:
        own_redis.freeze()
        try:
            pair.worker.bus.publish([event(1)])
            await both(pair.api, pair.worker, connected=False)
        finally:
            own_redis.thaw()
        await pair.hears_of(1)


async def test_redis_refuses_what_it_is_sent(process: Process, own_redis: RedisServer) -> None:
    """It has no memory left."""
    async with listening(process, own_redis.url) as pair:
        await command(own_redis.url, "CONFIG", "SET", "maxmemory", "1")
        pair.worker.bus.publish([event(1)])
        await until(lambda: not pair.worker.bus.connected, "the refusal")
        await command(own_redis.url, "CONFIG", "SET", "maxmemory", "0")
        await pair.hears_of(1)


async def test_starting_without_redis(
    process: Process, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystation.streams.redis_bus.CONNECT_S", 0.2)
    own_redis.kill()
    async with process(own_redis.url) as api, process(own_redis.url, executes=True) as worker:
        assert not api.bus.connected
        with api.bus.subscribe(THREAD) as subscription:
            began = time.monotonic()
            await subscription.announce()
            assert time.monotonic() - began < 5
            await own_redis.restart(keep_data=False)
            await both(api, worker, connected=True)
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(1)])
            assert positions(await received(subscription, 1)) == [1]


async def test_each_outage_is_told_once(process: Process, own_redis: RedisServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with process(own_redis.url) as alone:
            for _ in range(2):
                own_redis.kill()
                await until(lambda: not alone.bus.connected, "the loss")
                await asyncio.sleep(0.3)
                await own_redis.restart(keep_data=False)
                await until(lambda: alone.bus.connected, "the return")
    told = [entry["log_level"] for entry in logs if "Redis" in entry["event"]]
    assert told == ["warning", "info"] * 2


async def test_stopping_while_redis_is_away(process: Process, own_redis: RedisServer) -> None:
    async with process(own_redis.url) as alone:
        own_redis.kill()
        await until(lambda: not alone.bus.connected, "the loss")
        with alone.bus.subscribe(THREAD) as subscription:
            await alone.bus.stop()
            assert subscription.over
