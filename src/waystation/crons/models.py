"""Request bodies of the cron routes (contract: Cron*, ThreadCronCreate)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from waystation.http.bodies import Body
from waystation.runs.models import Durability, MultitaskStrategy, RunConfig, StreamModes

__all__ = [
    "CronCount",
    "CronCreate",
    "CronField",
    "CronPatch",
    "CronSearch",
    "CronSortBy",
    "OnRunCompleted",
    "ThreadCronCreate",
]

OnRunCompleted = Literal["delete", "keep"]
CronField = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
]
CronSortBy = Literal["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"]


class _Cron(Body):
    """What can be said of a cron at its creation and changed later."""

    timezone: str | None = None
    end_time: str | None = None
    enabled: bool | None = None
    input: dict[str, Any] | list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    webhook: str | None = Field(None, min_length=1, max_length=65536)
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    stream_mode: StreamModes = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    durability: Durability | None = None


class _NewCron(_Cron):
    assistant_id: str
    schedule: str
    checkpoint_during: bool | None = None
    """Not in the contract, but the SDKs send it."""
    multitask_strategy: MultitaskStrategy | None = None
    """Of the contract on a thread only; the SDKs send it for stateless crons, too, whose threads have one run."""


class ThreadCronCreate(_NewCron):
    """``ThreadCronCreate``: a cron that runs on one thread."""


class CronCreate(_NewCron):
    """``CronCreate``: a cron whose every run has a thread of its own."""

    on_run_completed: OnRunCompleted | None = None


class CronPatch(_Cron):
    """``CronPatch``: what is absent stays as it is. Only ``end_time`` can be null, which takes it away."""

    schedule: str | None = None
    on_run_completed: OnRunCompleted | None = None


class CronCount(Body):
    """``CronCountRequest``: the filters, all of which must match."""

    assistant_id: str | None = None
    thread_id: str | None = None
    metadata: dict[str, Any] | None = None


class CronSearch(CronCount):
    """``CronSearch``."""

    enabled: bool | None = None
    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**62)
    sort_by: CronSortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[CronField] | None = None
