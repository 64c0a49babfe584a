"""A server that the tests kill, with a journal of what its graphs did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.journal import Journal
from tests.processes import ServerProcess, running_server

PROJECT = Path(__file__).parent / "project" / "langgraph.json"


@pytest.fixture(scope="package")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return Journal(tmp_path_factory.mktemp("journal") / "journal.txt")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, journal: Journal) -> Iterator[ServerProcess]:
    """One server for all tests: each leaves it running, on the data of those before."""
    environ = {
        "JOURNAL": str(journal.file),
        "WAYSTATION_MODELS": '{"slow": {"model": "demo:chat", "seconds_per_word": 0.1}}',
        "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "0",
        "WAYSTATION_LEASE_SECS": "3",  # on PostgreSQL a killed process holds its runs for so long
    }
    with running_server(tmp_path_factory.mktemp("data"), config=PROJECT, environ=environ) as server:
        yield server


@pytest.fixture
async def http(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client
