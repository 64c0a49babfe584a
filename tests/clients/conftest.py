"""One server process for the client tests, and the official clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client

from tests.clients.blocking import Blocking
from tests.processes import running_server


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environ = {"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "0"}
    with running_server(tmp_path_factory.mktemp("clients"), environ=environ) as server:
        yield server.url


@pytest.fixture(params=["async", "sync"])
async def client(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """The Python SDK: each test runs with the asynchronous client and with the synchronous one."""
    if request.param == "async":
        async with get_client(url=url, api_key=None) as client:
            yield client
    else:
        with get_sync_client(url=url, api_key=None) as blocking:
            yield Blocking(blocking)
