"""Waiting for a future that somebody else resolves."""

from __future__ import annotations

import asyncio

import pytest

from waystation.futures import until_done


async def test_a_result_ends_the_waiting() -> None:
    future = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(until_done(future, 60))
    await asyncio.sleep(0)
    assert not waiting.done()
    future.set_result(1)
    assert await waiting
    assert await until_done(future, 0)


async def test_a_failure_is_left_to_the_caller() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, ValueError("x"))
    assert await until_done(future)
    with pytest.raises(ValueError, match="x"):
        future.result()


async def test_neither_time_nor_cancellation_ends_the_future() -> None:
    future = asyncio.get_running_loop().create_future()
    assert not await until_done(future, 0.01)
    waiting = asyncio.create_task(until_done(future))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not future.done()
    future.set_result(None)
    await asyncio.sleep(0)
