"""How long a thread is kept (spec 21).

A thread's time begins when the thread is made or given a time to live, and anew with every run on it: a conversation does
not expire while it is held. Once the time is over, and no run is in flight, the strategy is carried out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from waystation.config import Config
from waystation.timestamps import MICROSECONDS

__all__ = ["LONGEST_MINUTES", "Strategy", "Ttl", "default_ttl", "expiry", "ttl_columns", "ttl_of_run"]

Strategy = Literal["delete", "keep_latest"]

LONGEST_MINUTES = 100 * 366 * 24 * 60
"""A century: what expires later has no date that every client can read."""


class Ttl(Struct, frozen=True):
    """`strategy` is carried out after `minutes` without a run."""

    minutes: float
    strategy: Strategy = "delete"


def default_ttl(config: Config) -> Ttl | None:
    """What ``checkpointer.ttl`` says about threads that do not say themselves."""
    setting: Any = config.checkpointer.get("ttl")
    if not isinstance(setting, Mapping) or setting.get("default_ttl") is None:
        return None
    return Ttl(min(setting["default_ttl"], LONGEST_MINUTES), setting.get("strategy") or "delete")


def ttl_of_run(configurable: Mapping[str, Any]) -> Ttl | None:
    """The time to live that a run gives its thread: ``ttl`` of its `configurable`, minutes or ``{ttl, strategy}`` (spec 21).

    Graphs may use the name for something of their own: what cannot be a time to live is left to them.
    """
    given: Any = configurable.get("ttl")
    strategy: Any = "delete"
    if isinstance(given, Mapping):
        given, strategy = given.get("ttl"), given.get("strategy") or "delete"
    if isinstance(given, bool) or not isinstance(given, int | float) or strategy not in ("delete", "keep_latest"):
        return None
    return Ttl(given, strategy) if math.isfinite(given) and 0 <= given <= LONGEST_MINUTES else None


def expiry(now: int, minutes: float) -> int:
    """When something that lives `minutes` from `now` expires (microseconds)."""
    return now + round(minutes * 60 * MICROSECONDS)


def ttl_columns(ttl: Ttl | None, now: int) -> dict[str, Any]:
    """The columns of `threads` that keep `ttl`, counted from `now` (microseconds)."""
    if ttl is None:
        return {"ttl_strategy": None, "ttl_minutes": None, "expires_at": None}
    return {"ttl_strategy": ttl.strategy, "ttl_minutes": ttl.minutes, "expires_at": expiry(now, ttl.minutes)}
