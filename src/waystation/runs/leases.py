"""How sure a worker may be that the runs it holds are still its own."""

from __future__ import annotations

import time

from waystation.timestamps import MICROSECONDS

__all__ = ["SURE", "Leases", "is_late"]

SURE = 0.9
"""Share of a lease that is relied on: the clock of whoever takes a run over may be ahead."""


def is_late(until: int, now: int, lease_s: float) -> bool:
    """Whether of a lease of `lease_s` seconds, which expires at `until`, less is left than what it takes to rely on it (microseconds
    since the epoch): so much time has passed since it was given, or the clocks disagree."""
    return until - now < SURE * lease_s * MICROSECONDS


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
