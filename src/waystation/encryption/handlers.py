"""A project's encryption handlers, called from threads that cannot await: they run on an event loop of their own.

That loop serves nothing else, so a storage thread that waits for it never waits for itself, nor for a loop that waits for the
storage. A handler that asks this server for something may still have to wait for the very thread that waits for it: the time
limit ends that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from waystation.errors import EncryptionFailed
from waystation.own_loop import OwnLoop

__all__ = ["HANDLER_S", "HandlerLoop"]

T = TypeVar("T")

HANDLER_S = 4
"""How long handlers may take for what one statement stores or has read, in seconds. Transactions are open meanwhile, and one
that nothing happens in for 5 s is taken for that of a process that is stuck (`waystation.runs.worker.STALLED_S`)."""

Call = Callable[[], Coroutine[Any, Any, T]]


class HandlerLoop:
    """Where handlers run. Usable from every thread and loop."""

    def __init__(self) -> None:
        self._loop = OwnLoop("waystation-encryption")

    def run(self, name: str, calls: Iterable[Call[T]]) -> list[T]:
        """Carry out all `calls` of the handler `name` side by side and wait for their results. Raises EncryptionFailed."""
        try:
            return self._loop.run(_all(list(calls))).result()
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
        """Nothing is called any more."""
        self._loop.close()


async def _all(calls: list[Call[T]]) -> list[T]:
    async with asyncio.timeout(HANDLER_S):
        return await asyncio.gather(*(call() for call in calls))
