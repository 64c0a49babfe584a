"""What the commands make of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from waystation.cli.banner import database_label
from waystation.cli.serving import configuration


def test_dev_keeps_to_sqlite_and_says_so(project: Path) -> None:
    shared = {"DATABASE_URI": "postgresql://production/db", "REDIS_URI": "redis://production"}
    config = configuration(project / "langgraph.json", shared, dev=True)
    assert (config.database_uri, config.redis_uri) == (None, None)
    assert config.shutdown_grace_s <= 2
    assert any("DATABASE_URI" in notice for notice in config.notices)
    assert database_label(config) == str(project / ".waystation")


@pytest.mark.parametrize(
    ("uri", "label"),
    [
        ("postgresql://user:secret@host:5433/db", "PostgreSQL host:5433/db"),
        ("postgresql://user:secret@/db?host=/run/postgresql", "PostgreSQL /run/postgresql/db"),
    ],
)
def test_the_banner_names_the_database_without_credentials(project: Path, uri: str, label: str) -> None:
    assert database_label(configuration(project / "langgraph.json", {"DATABASE_URI": uri})) == label
