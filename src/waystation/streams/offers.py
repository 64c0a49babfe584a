"""Free slots of the workers in other processes, as they have last told of them.

Whoever creates a run can give it to such a worker in the same transaction, instead of leaving it to be claimed in another one. What
is known here may be out of date: a worker that has no slot left hands the run back to the queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec import Struct

__all__ = ["SILENT_S", "Offers"]

SILENT_S = 3.0
"""A worker that has said nothing for so long may be dead, and gets no run: it never is silent for longer than a second."""


class _Offer(Struct):
    free: int
    heard_at: float


class Offers:
    """The workers by their addresses. Usable from every thread; `on_gone` is called, on any of them, when one has taken its leave."""

    def __init__(self) -> None:
        self.on_gone: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._offers: dict[str, _Offer] = {}

    def hear(self, address: str, free: int) -> None:
        """A worker has said how many slots it has that the queue has no run for."""
        with self._lock:
            self._offers[address] = _Offer(free, time.monotonic())

    def take(self) -> str | None:
        """A free slot of the worker that has most of them. None when nobody has any."""
        since = time.monotonic() - SILENT_S
        with self._lock:
            able = [item for item in self._offers.items() if item[1].free > 0 and item[1].heard_at > since]
            if not able:
                return None
            address, offer = max(able, key=lambda item: item[1].free)
            offer.free -= 1
            return address

    def put_back(self, address: str) -> None:
        """A slot that was taken is not needed."""
        with self._lock:
            if (offer := self._offers.get(address)) is not None:
                offer.free += 1

    def gone(self, address: str) -> None:
        """This worker takes no more runs, or is gone."""
        with self._lock:
            known = self._offers.pop(address, None)
        if known is not None:
            self.on_gone()

    def heard_at(self, address: str) -> float | None:
        """When the worker last said something (`time.monotonic`); None when it is gone."""
        offer = self._offers.get(address)
        return None if offer is None else offer.heard_at
