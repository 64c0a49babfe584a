"""`waystation serve --workers`: one command, many processes."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.cli.command import Command, run, write_project
from tests.fleet.conftest import Launch

PATIENCE_S = 15


def pid_of(fleet: Command, process: str, times: int = 1) -> int:
    """The number of a process of the fleet, or of the one that took its place (`times`)."""
    return int(fleet.wait_for(rf"at work .*pid=(\d+) process='?{process}'?", times))


def is_gone(pid: int) -> bool:
    """Wait until there is no such process."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_it_serves_and_leaves_nothing_behind(launch: Launch) -> None:
    fleet = launch("serve", "--workers", "2", "--port", "0")
    url = fleet.url
    answer = httpx.post(f"{url}/runs/wait", json={"assistant_id": "echo", "input": {"log": []}}, timeout=30)
    assert answer.status_code == 200
    assert answer.json()
    pids = [pid_of(fleet, name) for name in ("api", "worker 1", "worker 2")]
    assert fleet.stop(signal.SIGINT) == 0
    assert all(is_gone(pid) for pid in pids)


def test_a_process_that_dies_is_replaced(launch: Launch) -> None:
    fleet = launch("serve", "--workers", "1", "--port", "0")
    url = fleet.url
    for times, pause in ((2, "0.5"), (3, "1.0")):
        os.kill(pid_of(fleet, "worker 1", times - 1), signal.SIGKILL)
        reason = r"in_s=(\S+) process='worker 1' reason='The process was ended by signal 9.'"
        assert fleet.wait_for(reason, times - 1) == pause
        pid_of(fleet, "worker 1", times)
    os.kill(pid_of(fleet, "api"), signal.SIGKILL)
    # The port stays open: a connection made meanwhile waits for the next process.
    assert httpx.get(f"{url}/ok", timeout=30).status_code == 200
    pid_of(fleet, "api", 2)
    assert fleet.stop() == 0


def test_processes_whose_supervisor_is_killed_leave(launch: Launch) -> None:
    fleet = launch("serve", "--workers", "1", "--port", "0")
    pids = [pid_of(fleet, name) for name in ("api", "worker 1")]
    fleet.stop(signal.SIGKILL)
    assert all(is_gone(pid) for pid in pids)


def test_it_stops_while_it_starts(launch: Launch) -> None:
    fleet = launch("serve", "--workers", "2", "--port", "0")
    pid = pid_of(fleet, "api")
    assert fleet.stop() == 0
    assert is_gone(pid)


def test_what_keeps_it_from_starting_is_said_once(tmp_path: Path, environ: Mapping[str, str]) -> None:
    project = write_project(tmp_path / "project").parent
    (project / "echo.py").write_text("1 / 0\n")
    result = run("serve", "--workers", "2", "--port", "0", cwd=project, environ=environ)
    assert result.returncode == 1
    assert result.stderr.count("ZeroDivisionError") == 1


def test_a_port_in_use(tmp_path: Path, environ: Mapping[str, str]) -> None:
    project = write_project(tmp_path / "project").parent
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--workers", "2", "--port", str(port), cwd=project, environ=environ)
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in result.stderr


@pytest.mark.parametrize("options", [["serve", "--workers", "2"], ["worker"]])
def test_workers_that_would_execute_nothing(tmp_path: Path, environ: Mapping[str, str], options: list[str]) -> None:
    project = write_project(tmp_path / "project").parent
    result = run(*options, "--port", "0", "--n-jobs-per-worker", "0", cwd=project, environ=environ)
    assert result.returncode == 1
    assert "would execute no run" in result.stderr
