"""What goes in and out of the state machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from waystation.errors import WaystationError

__all__ = ["NOTHING", "Claim", "Claimed", "Created", "LeaseLost", "Outcome", "Settled", "claimed"]

NOTHING = b"{}"
"""What a client that waits for a run gets when the run never started."""

Kind = Literal["success", "error", "timeout", "stopped"]


class LeaseLost(WaystationError):
    """Another worker has taken the run over."""


class Claim(Struct, frozen=True):
    """A worker's offer to execute a run: who it is and until when its lease lasts (microseconds)."""

    worker_id: str
    until: int


class Claimed(Struct, frozen=True):
    """A run as its worker needs it."""

    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str
    attempt: int
    kwargs: Mapping[str, Any]
    created_at: int
    listener: str | None
    """The process that waits for the run or streams it (`waystation.streams.bus`)."""
    tries: int
    """Attempts, this one included, without those that a shutdown cut short."""
    workspace: str
    claim: Claim
    blank: bool = False
    """Whether the thread is known to have no checkpoints yet."""


class Created(Struct, frozen=True):
    """What creating a run did."""

    run: dict[str, Any]
    """The run's row at creation."""
    claimed: Claimed | None
    """Set when the offered worker got the run right away."""
    stopped: list[str] = field(default_factory=list)
    """Held runs that must stop now: the multitask strategy cancelled them."""
    gone: list[str] = field(default_factory=list)
    """Runs that were cancelled before any worker had them: their streams end now."""


class Outcome(Struct, frozen=True):
    """How a run ended, as its worker saw it."""

    kind: Kind
    values: Any = None
    """The thread's state, JSON-encodable; None keeps the former values."""
    interrupts: dict[str, Any] | None = None
    pending: bool = False
    """Whether the graph has nodes left to run: it waits for an interrupt to be answered."""
    error: dict[str, str] | None = None


class Settled(Struct, frozen=True):
    """What settling a run did."""

    status: str
    """The final status; ``rollback`` for a run that is deleted."""
    more: bool
    """Whether the thread has further runs waiting."""


def claimed(row: Mapping[str, Any], claim: Claim, *, blank: bool = False) -> Claimed:
    """The run with this row, as the worker has it that made the `claim`. `blank` says that its thread has no checkpoints."""
    return Claimed(
        row["run_id"],
        row["thread_id"],
        row["assistant_id"],
        row["graph_id"],
        row["attempt"],
        row["kwargs"],
        row["created_at"],
        row["listener"],
        row["attempt"] - row.get("handed_back", 0),
        row["workspace"],
        claim,
        blank,
    )
