"""`waystation serve`, and what it refuses."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.command import run
from tests.cli.conftest import Start
from waystation.storage.data_dir import lock_data_dir


def test_it_serves_until_it_is_stopped(project: Path, start: Start) -> None:
    serve = start("serve", "--port", "0")
    response = httpx.post(f"{serve.url}/runs/wait", json={"assistant_id": "echo", "input": {}}, timeout=30)
    assert response.json() == {"answer": "one"}
    assert serve.stop(signal.SIGINT) == 0


def test_an_open_stream_does_not_hold_up_the_stop(project: Path, start: Start) -> None:
    serve = start("serve", "--host", "0.0.0.0", "--no-auth", "--port", "0")
    with httpx.Client(base_url=serve.url, timeout=30) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        with client.stream("GET", f"/threads/{thread}/stream") as stream:
            assert serve.stop() == 0
            for _ in stream.iter_raw():
                pass


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["serve", "--host", "0.0.0.0"], "without authentication"),
        (["serve", "--workers", "2"], "--workers needs a database and a bus"),
        (["serve", "--workers", "1"], "--workers needs a database and a bus"),
        (["serve", "--api-only"], "--api-only needs a database and a bus"),
        (["serve", "--api-only", "--workers", "2"], "choose one"),
        (["worker"], "waystation worker needs a database and a bus"),
    ],
)
def test_it_refuses_what_it_cannot_do_well(project: Path, command: list[str], reason: str) -> None:
    result = run(*command, "--port", "0", cwd=project)
    assert result.returncode == 1
    assert reason in result.stderr
    assert not (project / ".waystation").exists()


def test_it_says_what_is_missing(project: Path) -> None:
    result = run("worker", cwd=project, environ={"REDIS_URI": "redis://127.0.0.1:1"})
    assert result.returncode == 1
    assert "Set DATABASE_URI." in result.stderr


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["migrate"]])
def test_a_database_server_that_is_not_there(project: Path, command: list[str]) -> None:
    environ = {"DATABASE_URI": "postgresql://user:secret@127.0.0.1:1/db"}
    result = run(*command, cwd=project, environ=environ)
    assert result.returncode == 1
    assert "cannot connect to PostgreSQL" in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr
    assert not (project / ".waystation").exists()


def test_a_port_in_use(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port), cwd=project)
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in result.stderr


def test_an_address_of_another_machine(project: Path) -> None:
    result = run("serve", "--host", "192.0.2.1", "--no-auth", cwd=project)
    assert result.returncode == 1
    assert "192.0.2.1 is not an address of this machine" in result.stderr


def test_a_data_directory_that_cannot_be_written(project: Path) -> None:
    (project / "file").write_text("")
    environ = {"WAYSTATION_DATA_DIR": str(project / "file" / "data")}
    result = run("serve", "--port", "0", cwd=project, environ=environ)
    assert result.returncode == 1
    assert f"{project / 'file' / 'data'} cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["migrate"]])
def test_a_data_directory_in_use(project: Path, command: list[str]) -> None:
    with lock_data_dir(project / ".waystation"):
        result = run(*command, cwd=project)
    assert result.returncode == 1
    assert "in use by another server" in result.stderr
