"""Request bodies of the threads routes, without state (contract: Thread*)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from waystation.errors import BadInput
from waystation.http.bodies import Body
from waystation.threads.state_models import Superstep
from waystation.threads.ttl import LONGEST_MINUTES, Strategy

__all__ = [
    "ThreadCount",
    "ThreadCreate",
    "ThreadField",
    "ThreadPatch",
    "ThreadPrune",
    "ThreadSearch",
    "ThreadSortBy",
    "ThreadStatus",
    "TtlBody",
]

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
ThreadSortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]
ThreadField = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
]


class TtlBody(Body):
    """How long to keep a thread: `ttl` minutes from now."""

    ttl: float = Field(ge=0, le=LONGEST_MINUTES, allow_inf_nan=False)
    strategy: Strategy | None = None


class ThreadCreate(Body):
    """``ThreadCreate``."""

    thread_id: str | None = None
    metadata: dict[str, Any] | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    ttl: TtlBody | None = None
    supersteps: list[Superstep] | None = None


class ThreadPatch(Body):
    """``ThreadPatch``: `metadata` is merged, `ttl` replaced."""

    metadata: dict[str, Any] | None = None
    ttl: TtlBody | None = None


class ThreadCount(Body):
    """``ThreadCountRequest``: the filters, all of which must match."""

    metadata: dict[str, Any] | None = None
    values: dict[str, Any] | None = None
    status: ThreadStatus | None = None

    def asked(self, ids: Sequence[str] | None = None, limit: int = 0, offset: int = 0) -> dict[str, Any]:
        """The value of the event ``threads.search``."""
        found: dict[str, Any] = {
            "metadata": self.metadata or {},
            "values": self.values or {},
            "status": self.status,
            "limit": limit,
            "offset": offset,
        }
        return found if ids is None else {**found, "ids": [UUID(each) for each in ids]}


class ThreadSearch(ThreadCount):
    """``ThreadSearchRequest``."""

    ids: list[str] | None = None
    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**62)
    sort_by: ThreadSortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[ThreadField] | None = None
    extract: dict[str, str] | None = None

    @property
    def thread_ids(self) -> list[str] | None:
        """The `ids`; unlike elsewhere a malformed one is a 400 (spec 1.2). Raises BadInput."""
        if self.ids is None:
            return None
        try:
            return [str(UUID(text)) for text in self.ids]
        except ValueError:
            raise BadInput("ids: every thread id must be a UUID.") from None


class ThreadPrune(Body):
    """``ThreadPruneRequest``."""

    thread_ids: list[str]
    strategy: Strategy | None = None
