"""Servers that may call this machine, and what they delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.conftest import IMPATIENT, connected, served
from tests.driver import eventually
from tests.webhooks.receiver import Call, Receiver
from waystation.config import WebhookConfig

__all__ = ["QUICK", "calling", "calls_of", "deliveries_of"]

QUICK = WebhookConfig(backoff_s=0.02, attempts=4)


@asynccontextmanager
async def calling(data_dir: Path, **changes: Any) -> AsyncIterator[LangGraphClient]:
    """A client of a server that may call this machine, and repeats deliveries at once."""
    options = {"webhooks": QUICK, "allow_private_urls": True, **changes}
    async with served(data_dir, IMPATIENT, **options) as app, connected(app) as http:
        yield LangGraphClient(http)


@pytest.fixture
async def sdk(tmp_path: Path) -> AsyncIterator[LangGraphClient]:
    context: AbstractAsyncContextManager[LangGraphClient] = calling(tmp_path)
    async with context as client:
        yield client


async def calls_of(receiver: Receiver, at_least: int = 1) -> list[Call]:
    """The receiver's calls, once there are so many."""

    async def look() -> bool:
        return len(receiver.calls) >= at_least

    await eventually(look, f"{at_least} calls")
    return receiver.calls


async def deliveries_of(sdk: LangGraphClient, thread_id: str, run_id: str, status: str = "delivered") -> list[Any]:
    """What the server tells of a run's webhooks, once all have this status."""

    async def look() -> Any:
        found: Any = await sdk.http.get(f"/threads/{thread_id}/runs/{run_id}/webhooks")
        return found if found and all(each["status"] == status for each in found) else None

    deliveries: list[Any] = await eventually(look, f"webhooks of run {run_id} being {status}")
    return deliveries
