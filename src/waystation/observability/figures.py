"""The figures the engine reports about its queue and its workers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QueueFigures", "WorkerFigures"]


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The queue at one moment. Waiting times are in seconds since a run could first have started; None without such runs."""

    pending: int
    running: int
    wait_max_s: float | None = None
    wait_med_s: float | None = None
    unblocked_pending: int = 0
    """Pending runs whose thread has no run in flight: only a free worker is missing."""
    unblocked_wait_max_s: float | None = None
    unblocked_wait_med_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """How many runs this process can carry out at once, and how many it does."""

    max: int
    active: int
    available: int
