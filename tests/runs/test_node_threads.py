"""Threads for synchronous nodes: who gets one, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from waystation.runs.node_threads import NodeLoop

LIMIT = 8
PATIENT_S = 10
"""For what happens at once, or never."""


@pytest.fixture
def loop() -> Iterator[NodeLoop]:
    loop = NodeLoop(LIMIT, "test-node")
    yield loop
    loop.close()


def test_what_a_function_returns_or_raises_comes_back(loop: NodeLoop) -> None:
    def failing() -> None:
        raise KeyError("key")

    async def main() -> None:
        assert await loop.run_in_executor(None, divmod, 7, 2) == (3, 1)
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
        with pytest.raises(KeyError, match="key"):
            await loop.run_in_executor(None, failing)

    loop.run_until_complete(main())


def test_stop_iteration_becomes_an_error_that_a_future_can_hold(loop: NodeLoop) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(loop.run_in_executor(None, next, iter(())), PATIENT_S)

    loop.run_until_complete(main())


def test_short_work_is_done_by_few_threads_under_the_name_of_the_loop(loop: NodeLoop) -> None:
    async def main() -> set[str]:
        return {await asyncio.to_thread(lambda: threading.current_thread().name) for _ in range(200)}

    names = loop.run_until_complete(main())
    assert len(names) < LIMIT
    assert all(name.startswith("test-node_") for name in names)


def test_work_that_blocks_holds_up_no_other_until_all_threads_block(loop: NodeLoop) -> None:
    together = threading.Barrier(LIMIT)

    async def main() -> None:
        meeting = [loop.run_in_executor(None, together.wait, PATIENT_S) for _ in range(LIMIT)]
        await asyncio.gather(*meeting)  # none comes back before all have begun

    loop.run_until_complete(main())
    loop.run_until_complete(main())


def test_no_more_threads_than_the_limit(loop: NodeLoop) -> None:
    block, began = threading.Event(), threading.Semaphore(0)

    def blocking() -> str:
        began.release()
        block.wait(PATIENT_S)
        return threading.current_thread().name

    async def main() -> list[str]:
        futures = [loop.run_in_executor(None, blocking) for _ in range(3 * LIMIT)]
        for _ in range(LIMIT):
            await loop.run_in_executor(own, began.acquire)
        block.set()
        return await asyncio.gather(*futures)

    with ThreadPoolExecutor(1) as own:
        assert len(set(loop.run_until_complete(main()))) == LIMIT


def test_work_that_nobody_wants_any_more_is_not_begun(loop: NodeLoop) -> None:
    block = threading.Event()
    done: list[str] = []

    async def main() -> None:
        blocking = [loop.run_in_executor(None, block.wait, PATIENT_S) for _ in range(LIMIT)]
        unwanted = loop.run_in_executor(None, done.append, "unwanted")
        wanted = loop.run_in_executor(None, done.append, "wanted")
        unwanted.cancel()
        block.set()
        await asyncio.gather(*blocking, wanted)
        with pytest.raises(asyncio.CancelledError):
            await unwanted

    loop.run_until_complete(main())
    assert done == ["wanted"]


def test_work_of_somebody_who_is_gone_ends_without_harm(loop: NodeLoop) -> None:
    block, ended = threading.Event(), threading.Event()

    def blocking() -> None:
        block.wait(PATIENT_S)
        ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await loop.run_in_executor(None, blocking)
        block.set()
        assert await loop.run_in_executor(None, ended.wait, PATIENT_S)

    loop.run_until_complete(main())


def test_work_from_another_thread_and_for_another_executor_is_done_elsewhere(loop: NodeLoop) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="own") as own:
            assert (await loop.run_in_executor(own, lambda: threading.current_thread().name)).startswith("own")
            loop.set_default_executor(own)
            assert (await loop.run_in_executor(None, lambda: threading.current_thread().name)).startswith("own")

    loop.run_until_complete(main())


def test_threads_end_with_their_loop() -> None:
    loop = NodeLoop(LIMIT, "ending-node")
    loop.run_until_complete(loop.run_in_executor(None, threading.get_ident))
    loop.close()
    for thread in threading.enumerate():
        if thread.name.startswith("ending-node"):
            thread.join(PATIENT_S)
            assert not thread.is_alive()
