"""What `waystation doctor` and `waystation migrate` make of PostgreSQL and Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.command import run, write_project
from tests.databases import empty_database
from waystation.cli.checks import Finding
from waystation.cli.service_checks import check_postgres, check_redis
from waystation.config import Config
from waystation.storage.schema import HEAD


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


def found(findings: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_good_database(config: Config, environ: Mapping[str, str]) -> None:
    report = found(check_postgres(config, environ["DATABASE_URI"]))
    assert {name: finding.status for name, finding in report.items()} == dict.fromkeys(
        ("PostgreSQL", "Connections", "Schema", "pgvector"), "ok"
    )
    assert HEAD in report["Schema"].message


def test_an_empty_database_is_left_empty(config: Config, tmp_path: Path) -> None:
    uri = empty_database(tmp_path)
    report = found(check_postgres(config, uri))
    assert (report["Schema"].status, report["Schema"].message) == ("ok", "the tables will be created")
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_database_of_a_newer_version(config: Config, environ: Mapping[str, str]) -> None:
    with psycopg.connect(environ["DATABASE_URI"]) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert found(check_postgres(config, environ["DATABASE_URI"]))["Schema"].status == "fail"


def test_more_connections_than_there_are(environ: Mapping[str, str], tmp_path: Path) -> None:
    report = found(check_postgres(Config(tmp_path, postgres_pool_size=100_000), environ["DATABASE_URI"]))
    assert report["Connections"].status == "warn"
    assert "LANGGRAPH_POSTGRES_POOL_MAX_SIZE" in report["Connections"].advice


def test_a_good_redis(environ: Mapping[str, str]) -> None:
    (finding,) = check_redis(environ["REDIS_URI"])
    assert finding.status == "ok"
    assert finding.message.startswith("Valkey ")


def test_servers_that_are_not_there(config: Config) -> None:
    for finding in (
        *check_postgres(config, "postgresql://user:secret@127.0.0.1:1/db"),
        *check_redis("redis://:secret@127.0.0.1:1"),
    ):
        assert finding.status == "fail"
        assert "127.0.0.1:1" in finding.message
        assert "secret" not in finding.message + finding.advice
        assert finding.advice


def test_the_whole_report(tmp_path: Path, environ: Mapping[str, str]) -> None:
    project = write_project(tmp_path / "project").parent
    result = run("doctor", "--json", "--port", "0", cwd=project, environ=environ)
    report = json.loads(result.stdout)
    assert (result.returncode, report["ok"]) == (0, True)
    assert {"PostgreSQL", "Schema", "pgvector", "Redis"} <= {check["name"] for check in report["checks"]}
    assert not {"Data", "Database"} & {check["name"] for check in report["checks"]}


def test_migrate_makes_the_tables(tmp_path: Path) -> None:
    project, uri = write_project(tmp_path / "project").parent, empty_database(tmp_path)
    for _ in range(2):  # what is done already does no harm
        result = run("migrate", cwd=project, environ={"DATABASE_URI": uri})
        assert result.returncode == 0, result.stderr
        assert f"has schema {HEAD}" in result.stdout
    with psycopg.connect(uri) as connection:
        assert connection.execute("SELECT count(*) FROM threads").fetchone() == (0,)
    assert not (project / ".waystation").exists()
