"""How long a thread is kept (spec 21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from waystation.config import Config
from waystation.timestamps import MICROSECONDS

__all__ = ["LONGEST_MINUTES", "Strategy", "Ttl", "default_ttl", "ttl_columns"]

Strategy = Literal["delete", "keep_latest"]

LONGEST_MINUTES = 100 * 366 * 24 * 60
"""A century: what expires later has no date that every client can read."""


@dataclass(frozen=True, slots=True)
class Ttl:
    """`strategy` is carried out `minutes` after the thread was created or last given a TTL."""

    minutes: float
    strategy: Strategy = "delete"


def default_ttl(config: Config) -> Ttl | None:
    """What ``checkpointer.ttl`` says about threads that do not say themselves."""
    setting: Any = config.checkpointer.get("ttl")
    if not isinstance(setting, Mapping) or setting.get("default_ttl") is None:
        return None
    return Ttl(setting["default_ttl"], setting.get("strategy") or "delete")


def ttl_columns(ttl: Ttl | None, now: int) -> dict[str, Any]:
    """The columns of `threads` that keep `ttl`, counted from `now` (microseconds)."""
    if ttl is None:
        return {"ttl_strategy": None, "ttl_minutes": None, "expires_at": None}
    return {
        "ttl_strategy": ttl.strategy,
        "ttl_minutes": ttl.minutes,
        "expires_at": now + round(ttl.minutes * 60 * MICROSECONDS),
    }
