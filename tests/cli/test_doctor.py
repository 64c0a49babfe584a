"""`waystation doctor`: what it finds, and what it leaves as it is."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.cli.test_schema_state import make_database, make_newer
from tests.observability.collector import collecting
from tests.ports import free_port
from waystation.cli.doctor import examine

Examination = Callable[..., dict[str, Any]]


@pytest.fixture
def examination(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Examination:
    """Examines the project. ``{"ok": …, "<check>": (status, message and advice), …}`` with the worst of each check."""

    def run_doctor(environ: Mapping[str, str] | None = None, port: int | None = None) -> dict[str, Any]:
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        well = examine(project / "langgraph.json", "127.0.0.1", port or free_port(), as_json=True)
        report = json.loads(capsys.readouterr().out)
        assert report["ok"] is well
        worst: dict[str, Any] = {"ok": well}
        for status in ("ok", "warn", "fail"):
            for check in report["checks"]:
                if check["status"] == status:
                    worst[check["name"]] = (status, f"{check['message']} {check['advice']}")
        return worst

    return run_doctor


def test_a_good_project(project: Path, examination: Examination) -> None:
    report = examination()
    assert report["ok"]
    assert {name for name, finding in report.items() if isinstance(finding, tuple) and finding[0] == "ok"} == {
        *(
            "Python",
            "Packages",
            "Configuration",
            "Graph echo",
            "Data",
            "Database",
            "Authentication",
            "Webhooks",
            "Port",
            "Clock",
        )
    }
    assert not (project / ".waystation").exists()


def test_the_report_for_people(project: Path) -> None:
    (project / "echo.py").write_text("1 / 0")
    result = run("doctor", "--port", str(free_port()), cwd=project)
    assert result.returncode == 1
    assert "Graph echo" in result.stdout
    assert "line 1: ZeroDivisionError" in result.stdout


def test_a_graph_that_does_not_load_among_others(project: Path, examination: Examination) -> None:
    (project / "bad.py").write_text("print('noise')\n\n1 / 0\n")
    config = project / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph", "bad": "./bad.py:graph"}}')
    report = examination()
    assert not report["ok"]
    assert report["Graph echo"][0] == "ok"
    status, message = report["Graph bad"]
    assert status == "fail"
    assert "bad.py, line 3: ZeroDivisionError" in message


def test_a_custom_app(project: Path, examination: Examination) -> None:
    config = project / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph"}, "http": {"app": "./web.py:app"}}')
    (project / "web.py").write_text("from starlette.applications import Starlette\napp = Starlette()\n")
    assert examination()["Custom app"][0] == "ok"
    (project / "web.py").write_text("app = None\n")
    status, message = examination()["Custom app"]
    assert status == "fail"
    assert "it is a NoneType" in message


def test_no_configuration(project: Path, examination: Examination) -> None:
    (project / "langgraph.json").unlink()
    report = examination()
    assert not report["ok"]
    assert report["Configuration"][0] == "fail"
    assert "waystation new" in report["Configuration"][1]


def test_settings_without_effect(project: Path, examination: Examination) -> None:
    config = project / "langgraph.json"
    config.write_text(
        '{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph"}, "env": "missing.env", "ui": {"a": "./a.tsx"}}'
    )
    report = examination()
    assert report["ok"]
    assert report["Configuration"][0] == "warn"


def test_a_setting_that_must_not_be_ignored(project: Path, examination: Examination) -> None:
    report = examination({"REDIS_CLUSTER": "1"})
    assert not report["ok"]
    assert report["Configuration"][0] == "fail"
    assert "REDIS_CLUSTER" in report["Configuration"][1]


def test_a_data_directory_that_cannot_be_written(project: Path, examination: Examination) -> None:
    (project / "file").write_text("")
    report = examination({"WAYSTATION_DATA_DIR": "file/data"})
    assert not report["ok"]
    assert report["Data"][0] == "fail"
    assert "WAYSTATION_DATA_DIR" in report["Data"][1]


def test_a_port_in_use_is_only_a_warning(project: Path, examination: Examination) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        report = examination(port=taken.getsockname()[1])
    assert report["ok"]
    assert report["Port"][0] == "warn"


def test_a_database_of_this_version(project: Path, examination: Examination) -> None:
    make_database(project)
    report = examination()
    assert (report["Database"][0], report["Schema"][0]) == ("ok", "ok")


@pytest.mark.parametrize("damage", ["newer", "no database"])
def test_a_database_that_cannot_be_used(project: Path, examination: Examination, damage: str) -> None:
    file = make_database(project)
    if damage == "newer":
        make_newer(file)
    else:
        file.write_bytes(b"This is a letter to my grandmother. " * 100)
    before = file.read_bytes()
    report = examination()
    assert not report["ok"]
    assert report["Schema" if damage == "newer" else "Database"][0] == "fail"
    assert file.read_bytes() == before


def test_api_keys_are_asked_for_and_there_are_none(project: Path, examination: Examination) -> None:
    environ = {"WAYSTATION_AUTH": "api-key"}
    status, text = examination(environ)["Authentication"]
    assert status == "warn"
    assert "waystation keys create" in text
    created = run("keys", "create", "--workspace", "lab", "--user", "ada", cwd=project, environ=environ)
    assert created.returncode == 0, created.stderr
    assert examination(environ)["Authentication"] == ("ok", "API keys; 1 are valid ")


AUTH = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def who(headers: dict) -> str:
    return "somebody"
"""


@pytest.mark.parametrize(
    ("code", "status", "part"),
    [
        (AUTH, "warn", "has no handler for"),
        (AUTH + "\n\n@auth.on\nasync def refuse(ctx, value):\n    return False\n", "ok", "auth.py"),
        ("from langgraph_sdk import Auth\nauth = Auth()\n", "warn", "every caller is anonymous"),
        ("1 / 0\n", "fail", "ZeroDivisionError"),
        ("auth = 1\n", "fail", "must be a langgraph_sdk.Auth object"),
    ],
)
def test_an_authentication_of_the_project(
    project: Path, examination: Examination, code: str, status: str, part: str
) -> None:
    (project / "auth.py").write_text(code)
    config = project / "langgraph.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "auth": {"path": "./auth.py:auth"}}))
    found = examination()["Authentication"]
    assert found[0] == status
    assert part in found[1]


def test_webhooks_that_may_lead_anywhere(examination: Examination) -> None:
    assert examination({"WAYSTATION_ALLOW_PRIVATE_URLS": "1"})["Webhooks"][0] == "warn"


def test_traces(examination: Examination) -> None:
    assert "Traces" not in examination()
    with collecting() as collector:
        status, text = examination({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.receiver.url})["Traces"]
        assert (status, "otlp at 127.0.0.1" in text) == ("ok", True)
    assert examination()["Traces"][0] == "warn"
    assert examination({"OTEL_TRACES_EXPORTER": "carrier-pigeon"})["Traces"][0] == "fail"
    assert "Traces" not in examination({"OTEL_SDK_DISABLED": "true"})


def test_encryption(project: Path, examination: Examination) -> None:
    assert "Encryption" not in examination()
    assert examination({"LANGGRAPH_AES_KEY": "k" * 32})["Encryption"][0] == "ok"
    status, text = examination({"LANGGRAPH_AES_JSON_KEYS": "thread_id"})["Encryption"]
    assert (status, "thread_id" in text) == ("fail", True)


def test_an_embedder(project: Path, examination: Examination) -> None:
    config = project / "langgraph.json"
    plain = json.loads(config.read_text())
    index = {"dims": 2, "embed": "./embedding.py:embed"}
    config.write_text(json.dumps({**plain, "store": {"index": index}}))
    assert examination()["Store"][0] == "fail"
    (project / "embedding.py").write_text("def embed(texts):\n    return [[1.0, 0.0] for _ in texts]\n")
    assert examination()["Store"] == ("ok", "searched by meaning with ./embedding.py:embed ")
