"""Crons that fire, and what became of them."""

from __future__ import annotations

from typing import Any

from langgraph_sdk.client import LangGraphClient
from starlette.applications import Starlette

from tests.driver import eventually
from waystation.crons import queries
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["EVERY_SECOND", "backdate", "runs_of", "threads_of"]

EVERY_SECOND = "* * * * * *"


async def backdate(app: Starlette, cron_id: str, seconds: int = 3600) -> None:
    """Let the cron have been due for so long."""
    slot = (now_us() // MICROSECONDS - seconds) * MICROSECONDS
    await app.state.server.db.write(queries.update_columns, cron_id, {"next_run_date": slot})


async def runs_of(sdk: LangGraphClient, thread_id: str, at_least: int = 1) -> list[Any]:
    """The runs of a thread, newest first, once there are so many that are over."""

    async def look() -> Any:
        runs = await sdk.runs.list(thread_id, limit=100)
        return runs if sum(run["status"] not in ("pending", "running") for run in runs) >= at_least else None

    found: list[Any] = await eventually(look, f"{at_least} runs of thread {thread_id}")
    return found


async def threads_of(sdk: LangGraphClient, metadata: dict[str, Any], at_least: int = 1) -> list[Any]:
    """The idle threads with this metadata, once there are so many."""

    async def look() -> Any:
        threads = await sdk.threads.search(metadata=metadata, status="idle", limit=100)
        return threads if len(threads) >= at_least else None

    found: list[Any] = await eventually(look, f"{at_least} threads with {metadata}")
    return found
