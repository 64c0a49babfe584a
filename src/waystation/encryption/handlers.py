"""A project's encryption handlers, called from threads that cannot await: they run on an event loop of their own.

That loop serves nothing else, so a storage thread that waits for it never waits for itself, nor for a loop that waits for the
storage. A handler that asks this server for something may still have to wait for the very thread that waits for it: the time
limit ends that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import structlog

from waystation.errors import EncryptionFailed

__all__ = ["HANDLER_S", "HandlerLoop"]

T = TypeVar("T")

log = structlog.get_logger("waystation.encryption")

HANDLER_S = 4
"""How long handlers may take for what one statement stores or has read, in seconds. Transactions are open meanwhile, and one
that nothing happens in for 5 s is taken for that of a process that is stuck (`waystation.runs.worker.STALLED_S`)."""

Call = Callable[[], Coroutine[Any, Any, T]]


class HandlerLoop:
    """An event loop on a thread of its own, which begins when it is first needed. Usable from every thread and loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, name: str, calls: Iterable[Call[T]]) -> list[T]:
        """Carry out all `calls` of the handler `name` side by side and wait for their results. Raises EncryptionFailed."""
        future = asyncio.run_coroutine_threadsafe(self._all(list(calls)), self._running())
        try:
            return future.result()
        except EncryptionFailed:
            raise
        except TimeoutError as error:
            raise EncryptionFailed(f"The encryption handler {name} took longer than {HANDLER_S} s.") from error
        except Exception as error:
            raise EncryptionFailed(f"The encryption handler {name} failed.") from error

    async def run_async(self, name: str, call: Call[T]) -> T:
        """`run` one call without keeping the caller's loop waiting."""
        return (await asyncio.to_thread(self.run, name, [call]))[0]

    def close(self) -> None:
        """Stop the loop. Nothing is called any more."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(HANDLER_S)

    async def _all(self, calls: list[Call[T]]) -> list[T]:
        async with asyncio.timeout(HANDLER_S):
            return await asyncio.gather(*(call() for call in calls))

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="waystation-encryption", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
