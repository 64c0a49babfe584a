"""One server for all contract tests, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.contract.cases import World, make_world
from tests.processes import running_server

MAX_BODY_BYTES = 1_000_000


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environ = {"HTTP_MAX_REQUEST_BODY_BYTES": str(MAX_BODY_BYTES), "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "0"}
    with running_server(tmp_path_factory.mktemp("contract"), environ=environ) as server:
        yield server.url


@pytest.fixture(scope="package")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="package")
def world(http: httpx.Client) -> World:
    """A world for requests that are refused, so that they change nothing."""
    return make_world(http)
