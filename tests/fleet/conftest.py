"""Fixtures for tests with many processes: a PostgreSQL database and a Valkey of their own, and commands that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.databases import database_uri
from tests.gate import Gate

PROJECT = Path(__file__).parents[1] / "project" / "langgraph.json"

Launch = Callable[..., Command]


@pytest.fixture
def environ(tmp_path: Path, valkey: Any) -> dict[str, str]:
    """The variables that connect processes to this test's database and bus."""
    return {
        "DATABASE_URI": database_uri(tmp_path),
        "REDIS_URI": valkey.connection_url,
        "REDIS_KEY_PREFIX": tmp_path.name,
        "LANGGRAPH_POSTGRES_POOL_MAX_SIZE": "3",
        "WAYSTATION_LEASE_SECS": "1",
        "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "20",
    }


@pytest.fixture
def launch(tmp_path: Path, environ: Mapping[str, str], gates: Callable[[], Gate]) -> Iterator[Launch]:
    """Starts commands of the test project that stay; all are gone in the end, those that wait at gates too."""
    launched: list[Command] = []

    def begin(*arguments: str, **more: str) -> Command:
        command = Command(*arguments, "--config", str(PROJECT), cwd=tmp_path, environ={**environ, **more})
        launched.append(command)
        return command

    yield begin
    for command in launched:
        command.close()
