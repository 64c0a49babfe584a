"""The workers in other processes: their free slots, as they have last told of them, and whose turn it is to be woken.

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
    jobs: int
    heard_at: float
    withdrawn: bool = False
    """It takes no runs any more, and need not be woken."""


class Offers:
    """The workers by their addresses. Usable from every thread; `on_gone` is called, on any of them, when one is gone."""

    def __init__(self) -> None:
        self.on_gone: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._offers: dict[str, _Offer] = {}

    def hear(self, address: str, free: int, jobs: int | None = None) -> None:
        """A worker has said how many slots it has that the queue has no run for, out of `jobs`, which it says at the latest every
        second: a worker that has not is not known. What was on its way when it withdrew says nothing."""
        with self._lock:
            if jobs is None:
                if (known := self._offers.get(address)) is None or known.withdrawn:
                    return
                jobs = known.jobs
            self._offers[address] = _Offer(free, jobs, time.monotonic())

    def take(self) -> str | None:
        """A free slot of the worker that has most of its slots free. None when nobody has any."""
        since = time.monotonic() - SILENT_S
        with self._lock:
            able = [item for item in self._offers.items() if item[1].free > 0 and item[1].heard_at > since]
            if not able:
                return None
            address, offer = max(able, key=lambda item: item[1].free / item[1].jobs)
            offer.free -= 1
            return address

    def whose_turn(self) -> tuple[str | None, int]:
        """Which worker to wake, each in turn, and how many there are that could be."""
        with self._lock:
            able = [address for address, offer in self._offers.items() if not offer.withdrawn]
            if not able:
                return None, 0
            self._offers[able[0]] = self._offers.pop(able[0])
            return able[0], len(able)

    def put_back(self, address: str) -> None:
        """A slot that was taken is not needed."""
        with self._lock:
            if (offer := self._offers.get(address)) is not None:
                offer.free += 1

    def withdraw(self, address: str) -> None:
        """This process takes no runs, or no more."""
        with self._lock:
            if (offer := self._offers.get(address)) is not None:
                self._offers[address] = _Offer(0, offer.jobs, time.monotonic(), withdrawn=True)

    def doubt(self) -> None:
        """Nobody can be heard: take nothing until they have spoken again."""
        with self._lock:
            for offer in self._offers.values():
                offer.free = 0

    def gone(self, address: str) -> None:
        """This process is gone."""
        with self._lock:
            known = self._offers.pop(address, None)
        if known is not None:
            self.on_gone()

    def expire(self, after_s: float) -> None:
        """Whoever has said nothing for `after_s` seconds is gone."""
        until = time.monotonic() - after_s
        with self._lock:
            silent = [address for address, offer in self._offers.items() if offer.heard_at < until]
        for address in silent:
            self.gone(address)

    @property
    def able(self) -> int:
        """How many workers take runs."""
        with self._lock:
            return sum(not offer.withdrawn for offer in self._offers.values())

    def heard_at(self, address: str) -> float | None:
        """When the worker last said something (`time.monotonic`); None when it is gone."""
        with self._lock:
            offer = self._offers.get(address)
        return None if offer is None else offer.heard_at
