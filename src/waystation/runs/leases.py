"""How sure a worker may be that the runs it holds are still its own."""

from __future__ import annotations

import time

from waystation.timestamps import MICROSECONDS

__all__ = ["Leases", "is_late", "late_after_s"]

SURE = 0.9
"""Share of a lease that is relied on: the clock of whoever takes a run over may be ahead."""


def late_after_s(lease_s: float) -> float:
    """The age from which a lease of `lease_s` seconds is not relied on by a worker that has just heard of it."""
    return lease_s - SURE * lease_s


def is_late(until: int, now: int, lease_s: float) -> bool:
    """Whether a lease of `lease_s` seconds, which expires at `until` (microseconds since the epoch), is as old as `late_after_s` says,
    or seems so because the clocks disagree."""
    return until - now < (lease_s - late_after_s(lease_s)) * MICROSECONDS


class Leases:
    """The leases of all runs of one worker, which are renewed together. By a clock that goes on while the process is stopped."""

    def __init__(self) -> None:
        self._until = time.monotonic()
        self._term = 0

    def renewed(self, asked_at: float, lease_s: float) -> bool:
        """Leases of `lease_s` seconds were committed, counted from `asked_at` (`time.monotonic`). Returns whether they may have
        run out before."""
        ran_out = asked_at >= self._until
        if ran_out:
            self._term += 1
        self._until = asked_at + SURE * lease_s
        return ran_out

    def term(self) -> int | None:
        """The number of the time without a break in which the leases have been good; None when they may have run out. A run
        that was held at some moment of a term is held during all of it."""
        return self._term if time.monotonic() < self._until else None
