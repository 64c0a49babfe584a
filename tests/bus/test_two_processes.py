"""Two processes on one Redis: what one publishes the other one hears, in order and once, if it listens."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.bus.conftest import Member, Process
from tests.bus.events import RUN, THREAD, end, event, positions, received, until
from tests.bus.redis_server import command
from waystation.errors import ConfigError
from waystation.streams.events import Event, RunEnd
from waystation.streams.parcels import FORMAT
from waystation.streams.redis_bus import RedisBus
from waystation.timestamps import now_us


async def test_a_listener_that_was_announced_hears_the_other_process(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.subscribe(THREAD, RUN) as subscription:
            assert not worker.bus.listened(THREAD, RUN)
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD, RUN), "the announcement")
            sent = [
                Event(7, THREAD, RUN, "values|sub:1", b'{"x": "\xc3\xa9"}', True, None, 3, 2),
                Event(9, THREAD, RUN, "", b"", True, RunEnd("success", None, last=7), 7, 2),
            ]
            worker.bus.publish(sent)
            assert await received(subscription, 2) == sent, "as it was"


async def test_everything_in_order_and_once(process: Process) -> None:
    """In batches of all sizes, from several threads of the other process, one run each."""
    async with process() as api, process() as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")

            def publish(run: str) -> None:
                position = 0
                for batch in range(60):
                    size = 1 + batch % 7
                    worker.bus.publish([event(position + n, batch * 100, run=run) for n in range(size)])
                    position += size

            runs = ["a", "b", "c"]
            await asyncio.gather(*(asyncio.to_thread(publish, run) for run in runs))
            count = sum(1 + batch % 7 for batch in range(60))
            events = await received(subscription, 3 * count)
            for run in runs:
                assert positions([each for each in events if each.run_id == run]) == list(range(count))
            assert await subscription.batch(0.1) == []


async def test_a_burst_that_fills_many_entries(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            worker.bus.publish([event(n, 5_000) for n in range(1000)])
            worker.bus.publish([event(1000, 3_000_000), event(1001)])
            assert positions(await received(subscription, 1002)) == list(range(1002))


async def test_only_who_listens_is_sent_anything(process: Process, valkey: Any, key_prefix: str) -> None:
    async with process() as api, process() as other, process() as worker:
        with api.bus.subscribe(THREAD, RUN) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD, RUN), "the announcement")
            worker.bus.publish([event(1), event(2, run="another"), event(3, thread="another", run="a third"), event(4)])
            assert positions(await received(subscription, 2)) == [1, 4]
            inbox = f"{key_prefix}:{FORMAT}:inbox:{other.bus.address}"
            assert await command(valkey.connection_url, "XLEN", inbox) == 1, "only what made it"
        await until(lambda: not worker.bus.listened(THREAD, RUN), "the withdrawal")


async def test_subscribers_of_the_same_process_do_not_need_redis(process: Process, own_redis: Any) -> None:
    async with process(own_redis.url) as alone:
        with alone.bus.subscribe(THREAD) as subscription:
            own_redis.kill()
            await until(lambda: not alone.bus.connected, "the loss")
            alone.bus.publish([event(1), end(2)])
            assert positions(await received(subscription, 2)) == [1, 2]


async def test_two_listeners_of_a_thread_and_one_that_leaves(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.subscribe(THREAD) as stays:
            await stays.announce()
            with api.bus.subscribe(THREAD) as goes:
                await goes.announce()
                await until(lambda: worker.bus.listened(THREAD), "the announcement")
                worker.bus.publish([event(1)])
                assert positions(await received(stays, 1)) == positions(await received(goes, 1)) == [1]
            await asyncio.sleep(0.1)
            worker.bus.publish([event(2)])
            assert positions(await received(stays, 1)) == [2]


async def test_the_creator_of_a_run_need_not_be_announced(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.subscribe(THREAD, RUN) as subscription:
            worker.bus.expect(RUN, api.bus.listener())
            assert worker.bus.listened(THREAD, RUN)
            worker.bus.publish([event(1), end(2)])
            one, last = await received(subscription, 2)
            assert one.position == 1
            assert last.end == RunEnd("success", None), "the result is for those who wait for it"
            assert not worker.bus.listened(THREAD, RUN), "there is nothing more to hear"


async def test_who_waits_for_the_end_gets_only_that(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.wait_for_end(RUN) as waiter, api.bus.subscribe(THREAD) as unannounced:
            worker.bus.expect(RUN, api.bus.listener(end_only=True))
            assert not worker.bus.listened(THREAD, RUN), "its events need not even be encoded"
            worker.bus.publish([event(1), end(2, result=b'{"x": 1}')])
            assert await waiter.end(15) == RunEnd("success", b'{"x": 1}')
            assert positions(await unannounced.batch(0.1)) == [2]


async def test_a_process_that_expects_its_own_run(process: Process) -> None:
    async with process() as alone:
        alone.bus.expect(RUN, alone.bus.listener())
        assert not alone.bus.listened(THREAD, RUN)


async def test_who_joins_later_hears_the_end_with_its_result(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.wait_for_end(RUN) as waiter:
            await waiter.announce()
            await until(lambda: worker.bus.heard_elsewhere(THREAD, RUN, None), "the announcement")
            worker.bus.publish([event(1), end(2, result=b"[]")])
            assert await waiter.end(15) == RunEnd("success", b"[]")


async def test_an_end_without_a_result_leaves_room_for_one_with_it(process: Process) -> None:
    """A worker that has lost a run finds it gone, and says so before the one that has finished it."""
    async with process() as api, process() as late, process() as worker:
        with api.bus.wait_for_end(RUN) as waiter:
            for each in (late, worker):
                each.bus.expect(RUN, api.bus.listener(end_only=True))
            late.bus.publish([end(1, result=None)])
            assert await waiter.end(15) is None, "time to look in the database"
            assert waiter.ended
            worker.bus.publish([end(2)])
            assert await waiter.end(15) == RunEnd("success", b"{}")


async def test_the_end_of_an_attempt_is_not_that_of_the_run(process: Process) -> None:
    async with process() as api, process() as worker:
        with api.bus.wait_for_end(RUN) as waiter, api.bus.subscribe(THREAD, RUN) as subscription:
            worker.bus.expect(RUN, api.bus.listener())
            worker.bus.expect(RUN, api.bus.listener(end_only=True))
            worker.bus.publish([Event(1, THREAD, RUN, "", b"", end=RunEnd("pending")), event(2), end(3)])
            assert positions(await received(subscription, 2)) == [2, 3]
            assert await waiter.end(15) == RunEnd("success", b"{}")


async def test_an_end_for_all_reaches_listeners_nobody_knows(process: Process) -> None:
    """A run that is cancelled in the queue has no worker that would know who waits for it."""
    async with process() as api, process() as other:
        with api.bus.wait_for_end(RUN) as waiter, other.bus.wait_for_end(RUN) as own:
            other.bus.proclaim(end(1))
            assert await waiter.end(15) == await own.end(15) == RunEnd("success", b"{}")


async def test_a_process_that_starts_later_learns_who_listens(process: Process) -> None:
    async with process() as api:
        with api.bus.subscribe(THREAD) as subscription, api.bus.wait_for_end(RUN):
            async with process() as worker:
                await until(lambda: worker.bus.listened(THREAD), "the introduction")
                worker.bus.publish([event(1)])
                assert positions(await received(subscription, 1)) == [1]


async def test_a_process_that_leaves_is_forgotten(process: Process, valkey: Any, key_prefix: str) -> None:
    async with process() as worker, process() as api:
        with api.bus.subscribe(THREAD) as subscription:
            await subscription.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            inbox = f"{key_prefix}:{FORMAT}:inbox:{api.bus.address}"
            assert await command(valkey.connection_url, "EXISTS", inbox) == 1
            await api.bus.stop()
            await until(lambda: not worker.bus.listened(THREAD), "the farewell")
            assert await command(valkey.connection_url, "EXISTS", inbox) == 0


async def test_a_process_that_died_is_forgotten_when_its_inbox_is_gone(
    process: Process, valkey: Any, key_prefix: str
) -> None:
    dead = uuid4().hex
    async with process() as worker:
        worker.bus.expect(RUN, dead)
        assert worker.bus.listened(THREAD, RUN)
        worker.bus.publish([event(1)])
        await until(lambda: not worker.bus.listened(THREAD, RUN), "it being forgotten")
        assert await command(valkey.connection_url, "EXISTS", f"{key_prefix}:{FORMAT}:inbox:{dead}") == 0, (
            "nobody makes it again"
        )


async def test_every_key_expires(process: Process, valkey: Any, key_prefix: str) -> None:
    async with process() as one, process():
        one.bus.wake_workers()
        keys = await command(valkey.connection_url, "KEYS", f"{key_prefix}*")
        assert len(keys) == 3
        for key in keys:
            assert await command(valkey.connection_url, "TTL", key) > 0


async def test_an_inbox_that_nobody_reads_is_bounded(process: Process, valkey: Any, key_prefix: str) -> None:
    """Its process is stopped: what is sent to it must not fill Redis."""
    stopped = uuid4().hex
    inbox = f"{key_prefix}:{FORMAT}:inbox:{stopped}"
    await command(valkey.connection_url, "XADD", inbox, "*", "d", "")
    async with process() as worker:
        worker.bus.expect(RUN, stopped)
        for n in range(60):
            worker.bus.publish([event(n, 2_000_000)])
            await asyncio.sleep(0.01)
        worker.bus.publish([event(60)])

        async def all_sent() -> bool:
            ((_, fields),) = await command(valkey.connection_url, "XREVRANGE", inbox, "+", "-", "COUNT", 1)
            return len(fields[b"d"]) < 1000

        for _ in range(500):
            if await all_sent():
                break
            await asyncio.sleep(0.01)
        assert await all_sent()
        assert await command(valkey.connection_url, "MEMORY", "USAGE", inbox, "SAMPLES", "0") < 40_000_000


async def test_a_slow_consumer_is_cut_off_and_others_are_not(process: Process) -> None:
    async with process(backlog_bytes=100_000) as api, process() as worker:
        with api.bus.subscribe(THREAD) as slow, api.bus.subscribe(THREAD) as quick:
            await slow.announce()
            await until(lambda: worker.bus.listened(THREAD), "the announcement")
            seen: list[int] = []
            for first in range(0, 100, 10):
                worker.bus.publish([event(n, 2_000) for n in range(first, first + 10)])
                seen += positions(await received(quick, 10))
            assert seen == list(range(100))
            assert slow.overflowed
            assert positions(await slow.batch(1)) == list(range(50)), "what fitted, in order, without a gap"


# --- signals


async def test_a_wake_up_reaches_a_worker_at_once_and_the_others_soon(process: Process) -> None:
    async with process() as api, process(executes=True) as one, process(executes=True) as two:
        await until(lambda: api.bus.offers.able == 2, "the introductions")
        for n in range(1, 4):
            api.bus.wake_workers()
            await until(partial(woken, one, two, 3 * n), "one and then both")
        assert api.wakes == 0


async def test_wake_ups_take_turns(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that several workers share the work."""
    monkeypatch.setattr("waystation.streams.redis_bus.OTHERS_S", 3600)  # only the one whose turn it is
    async with process() as api, process(executes=True) as one, process(executes=True) as two:
        await until(lambda: api.bus.offers.able == 2, "the introductions")
        for n in range(1, 11):
            api.bus.wake_workers()
            await until(partial(woken, one, two, n), "a wake-up")
        assert (one.wakes, two.wakes) == (5, 5)


def woken(one: Member, two: Member, times: int) -> bool:
    return one.wakes + two.wakes >= times


async def test_a_worker_that_takes_no_more_is_not_woken(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waystation.streams.redis_bus.OTHERS_S", 3600)
    async with process() as api, process(executes=True) as one, process(executes=True) as two:
        await until(lambda: api.bus.offers.able == 2, "the introductions")
        one.bus.retire()
        await until(lambda: api.bus.offers.able == 1, "the news")
        for n in range(1, 4):
            api.bus.wake_workers()
            await until(partial(woken, one, two, n), "a wake-up")
        assert (one.wakes, two.wakes) == (0, 3)


async def test_a_wake_up_before_any_worker_is_known_is_for_all(process: Process) -> None:
    async with process(executes=True) as worker, process() as api:
        api.bus.wake_workers()
        await until(lambda: worker.wakes == 1, "a wake-up")


async def test_a_wake_up_for_later(process: Process) -> None:
    async with process() as api, process(executes=True) as worker:
        due = now_us() + 300_000
        api.bus.wake_workers(due)
        await until(lambda: worker.wakes == 1, "a wake-up")
        assert now_us() >= due


async def test_a_stop_signal_reaches_all_others(process: Process) -> None:
    async with process() as api, process(executes=True) as one, process(executes=True) as two:
        await asyncio.to_thread(api.bus.stop_runs, ["a", "b"])
        api.bus.stop_runs(["c"])
        await until(lambda: one.stopped == two.stopped == ["a", "b", "c"], "the signals")
        assert api.stopped == []


async def test_processes_with_different_keys_do_not_hear_each_other(process: Process, valkey: Any) -> None:
    stranger = RedisBus(valkey.connection_url, key_prefix=uuid4().hex)
    await stranger.start(None, lambda run_ids: None)
    async with process(executes=True) as worker:
        stranger.wake_workers()
        stranger.stop_runs(["a"])
        stranger.proclaim(end(1))
        await asyncio.sleep(0.1)
        assert (worker.wakes, worker.stopped) == (0, [])
    await stranger.stop()


async def test_what_cannot_be_read_is_left_alone(process: Process, valkey: Any, key_prefix: str) -> None:
    async with process() as api, process() as worker:
        with api.bus.wait_for_end(RUN) as waiter:
            for key in (f"{key_prefix}:{FORMAT}:control", f"{key_prefix}:{FORMAT}:inbox:{api.bus.address}"):
                for payload in (b"\xff\xff", b"\x90", b"\x93\x01\x02\x03"):
                    await command(valkey.connection_url, "XADD", key, "*", "d", payload)
            worker.bus.expect(RUN, api.bus.listener(end_only=True))
            worker.bus.publish([end(1)])
            assert await waiter.end(15) is not None
            assert api.bus.connected


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port"])
def test_an_address_that_makes_no_sense(url: str) -> None:
    with pytest.raises(ConfigError, match="REDIS_URI"):
        RedisBus(url)
