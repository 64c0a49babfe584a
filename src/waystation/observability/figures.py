"""The figures that parts of the server report about themselves."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["BusFigures", "CapacityFigures", "QueueFigures", "WorkerFigures"]


class QueueFigures(Struct, frozen=True):
    """The queue at one moment. Waiting times are in seconds since a run could first have started; None without such runs."""

    pending: int
    running: int
    wait_max_s: float | None = None
    wait_med_s: float | None = None
    unblocked_pending: int = 0
    """Pending runs whose thread has no run in flight: only a free worker is missing."""
    unblocked_wait_max_s: float | None = None
    unblocked_wait_med_s: float | None = None


class WorkerFigures(Struct, frozen=True):
    """How many runs this process can carry out at once, and how many it does."""

    max: int
    active: int
    available: int


class CapacityFigures(Struct, frozen=True):
    """How many runs may be pending (0: any number), and how many this process has refused to create for that."""

    limit: int
    refused: int


class BusFigures(Struct, frozen=True):
    """Whether Redis is reached, and how many seconds the newest message of another process took through it; None before there
    was one. Correct to a few milliseconds."""

    connected: bool
    lag_s: float | None = None
