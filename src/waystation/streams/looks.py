"""When to look in the database for what the bus may have lost."""

from __future__ import annotations

import time

from waystation.streams.bus import Bus

__all__ = ["Looks"]

EARLY_S = (0.1, 0.3, 1.0)
"""Looks soon after the beginning: a run may have ended before its process knew that somebody listens."""


class Looks:
    """The times to look of one consumer: every `every_s` seconds without news, soon after the beginning when events come
    from other processes, and every `outage_s` while these cannot be heard."""

    def __init__(self, bus: Bus, every_s: float, outage_s: float) -> None:
        self._bus = bus
        self._every_s = every_s
        self._outage_s = min(outage_s, every_s)
        self._last = time.monotonic()
        self._early = [self._last + early for early in EARLY_S] if bus.address is not None else []

    def pause(self) -> float:
        """Seconds until the next look; 0 when it is due."""
        at = self._last + (self._every_s if self._bus.connected else self._outage_s)
        if self._early:
            at = min(at, self._early[0])
        return max(0.0, at - time.monotonic())

    def looked(self) -> None:
        """This was a look, or there was news, which does as well."""
        self._last = time.monotonic()
        while self._early and self._early[0] <= self._last:
            self._early.pop(0)
