"""`waystation migrate`, and databases that this version must leave alone."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.cli.command import run
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase


def make_database(project: Path) -> Path:
    """The file of an empty database in `project`."""
    file = project / ".waystation" / "waystation.db"
    file.parent.mkdir()
    database = SqliteDatabase(file)
    upgrade(database)
    asyncio.run(database.close())
    return file


def make_newer(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def test_migrate_creates_the_database(project: Path) -> None:
    result = run("migrate", cwd=project)
    assert result.returncode == 0, result.stderr
    assert "has schema" in result.stdout
    with contextlib.closing(sqlite3.connect(project / ".waystation" / "waystation.db")) as connection:
        assert connection.execute("SELECT count(*) FROM threads").fetchone() == (0,)


@pytest.mark.parametrize("command", [["migrate"], ["dev", "--port", "0"]])
def test_a_database_of_a_newer_version_is_refused(project: Path, command: list[str]) -> None:
    make_newer(make_database(project))
    result = run(*command, cwd=project)
    assert result.returncode == 1
    assert "9999" in result.stderr
    assert "newer" in result.stderr
    assert "Traceback" not in result.stderr
