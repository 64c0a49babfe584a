"""`waystation doctor`: what it finds, and what it leaves as it is."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import run
from tests.cli.test_schema_state import make_newer
from tests.processes import free_port


def examine(project: Path, environ: Mapping[str, str] | None = None, port: int | None = None) -> dict[str, Any]:
    """The report: ``{"ok": …, "exit code": …, "<check>": (status, message and advice), …}`` with the worst of each check."""
    result = run("doctor", "--json", "--port", str(port or free_port()), cwd=project, environ=environ)
    report = json.loads(result.stdout)
    worst: dict[str, Any] = {"ok": report["ok"], "exit code": result.returncode}
    for status in ("ok", "warn", "fail"):
        for check in report["checks"]:
            if check["status"] == status:
                worst[check["name"]] = (status, f"{check['message']} {check['advice']}")
    return worst


def test_a_good_project(project: Path) -> None:
    report = examine(project)
    assert report["ok"] is True
    assert report["exit code"] == 0
    assert {name for name, finding in report.items() if isinstance(finding, tuple) and finding[0] == "ok"} == {
        *("Python", "Packages", "Configuration", "Graph echo", "Data", "Database", "Port", "Clock")
    }
    assert not (project / ".waystation").exists()


def test_the_report_for_people(project: Path) -> None:
    result = run("doctor", "--port", str(free_port()), cwd=project)
    assert result.returncode == 0
    assert "Graph echo" in result.stdout
    assert "./echo.py:graph" in result.stdout


def test_a_graph_that_does_not_load_among_others(project: Path) -> None:
    (project / "bad.py").write_text("print('noise')\n\n1 / 0\n")
    config = project / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph", "bad": "./bad.py:graph"}}')
    report = examine(project)
    assert report["exit code"] == 1
    assert report["Graph echo"][0] == "ok"
    status, message = report["Graph bad"]
    assert status == "fail"
    assert "bad.py, line 3: ZeroDivisionError" in message


def test_no_configuration(tmp_path: Path) -> None:
    report = examine(tmp_path)
    assert report["exit code"] == 1
    assert report["Configuration"][0] == "fail"
    assert "waystation new" in report["Configuration"][1]


def test_settings_without_effect(project: Path) -> None:
    config = project / "langgraph.json"
    config.write_text(
        '{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph"}, "env": "missing.env", "ui": {"a": "./a.tsx"}}'
    )
    report = examine(project)
    assert report["exit code"] == 0
    assert report["Configuration"][0] == "warn"


def test_a_setting_that_must_not_be_ignored(project: Path) -> None:
    report = examine(project, {"DATABASE_URI": "postgresql://localhost/db"})
    assert report["exit code"] == 1
    assert report["Configuration"][0] == "fail"
    assert "DATABASE_URI" in report["Configuration"][1]


def test_a_data_directory_that_cannot_be_written(project: Path) -> None:
    (project / "file").write_text("")
    report = examine(project, {"WAYSTATION_DATA_DIR": "file/data"})
    assert report["exit code"] == 1
    assert report["Data"][0] == "fail"
    assert "WAYSTATION_DATA_DIR" in report["Data"][1]


def test_a_port_in_use_is_only_a_warning(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        report = examine(project, port=taken.getsockname()[1])
    assert report["exit code"] == 0
    assert report["Port"][0] == "warn"


def test_a_database_of_this_version(project: Path) -> None:
    assert run("migrate", cwd=project).returncode == 0
    assert "schema" in examine(project)["Database"][1]


@pytest.mark.parametrize("damage", ["newer", "no database"])
def test_a_database_that_cannot_be_used(project: Path, damage: str) -> None:
    file = project / ".waystation" / "waystation.db"
    assert run("migrate", cwd=project).returncode == 0
    if damage == "newer":
        make_newer(file)
    else:
        file.write_bytes(b"This is a letter to my grandmother. " * 100)
    before = file.read_bytes()
    report = examine(project)
    assert report["exit code"] == 1
    assert report["Database"][0] == "fail"
    assert file.read_bytes() == before
