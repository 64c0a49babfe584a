"""`waystation dev`: a changed project is loaded, a broken one is reported, and the server stays."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_sync_client

from tests.cli.command import Command, run, write_graph
from tests.cli.conftest import Start
from tests.ports import free_port

BROKEN = "import nowhere_to_be_found\n"
SLOW = """
import time
from pathlib import Path

DIRECTORY = Path(__file__).parent

def pause() -> None:
    (DIRECTORY / "reached").touch()
    while not (DIRECTORY / "go").exists():
        time.sleep(0.02)
"""


def answer(url: str) -> str:
    body = {"assistant_id": "echo", "input": {}}
    response = httpx.post(f"{url}/runs/wait", json=body, timeout=30).raise_for_status()
    return str(response.json()["answer"])


def refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/ok", timeout=5)
    except httpx.ConnectError:
        return True
    return False


def test_a_change_is_served_and_no_connection_fails_meanwhile(project: Path, start: Start) -> None:
    dev = start("dev", "--port", "0")
    url = dev.url
    assert answer(url) == "one"
    failures: list[Exception] = []
    done = threading.Event()

    def knock() -> None:
        while not done.is_set():
            try:
                # A connection each: one that is kept may be closed by the old process.
                httpx.get(f"{url}/ok", timeout=30, headers={"Connection": "close"}).raise_for_status()
            except httpx.ConnectError as error:
                failures.append(error)
            except httpx.TransportError:
                pass  # accepted by the old process in the moment it stopped

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        write_graph(project, "two")
        dev.wait_for("Reloaded after a change of echo.py")
    finally:
        done.set()
        knocking.join()
    assert failures == []
    assert answer(url) == "two"
    assert (project / ".waystation").is_dir()


def test_a_version_that_does_not_load_is_reported_and_not_served(project: Path, start: Start) -> None:
    dev = start("dev", "--port", "0")
    url = dev.url
    (project / "echo.py").write_text(BROKEN)
    dev.wait_for(r"echo\.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'")
    dev.wait_for("The last good version keeps serving")
    assert answer(url) == "one"
    configuration = (project / "langgraph.json").read_text()
    (project / "langgraph.json").write_text('{"graphs": {')
    dev.wait_for(r"langgraph\.json, line 1, column \d+: not JSON")
    assert answer(url) == "one"
    write_graph(project, "two")
    (project / "langgraph.json").write_text(configuration)
    dev.wait_for("Reloaded")
    assert answer(url) == "two"


def test_a_broken_project_waits_for_a_change(project: Path, start: Start) -> None:
    (project / "echo.py").write_text(BROKEN)
    port = free_port()
    dev = start("dev", "--port", str(port))
    dev.wait_for(r"line 1: ModuleNotFoundError")
    dev.wait_for("Nothing is served")
    assert refused(f"http://127.0.0.1:{port}")
    write_graph(project, "two")
    assert dev.url == f"http://127.0.0.1:{port}"
    assert answer(dev.url) == "two"


def test_without_reload_a_broken_project_ends_the_command(project: Path) -> None:
    (project / "echo.py").write_text(BROKEN)
    result = run("dev", "--no-reload", "--port", "0", cwd=project)
    assert result.returncode == 1
    assert f"{project / 'echo.py'}, line 1: ModuleNotFoundError" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_in_flight_goes_on_in_the_next_process(project: Path, start: Start) -> None:
    (project / "pause.py").write_text(SLOW)
    source = (project / "echo.py").read_text()
    (project / "echo.py").write_text("import pause\n" + source.replace("    return", "    pause.pause()\n    return"))
    dev = start("dev", "--port", "0")
    with get_sync_client(url=dev.url, timeout=60) as client:
        thread = client.threads.create()["thread_id"]
        run_id = client.runs.create(thread, "echo", input={})["run_id"]
        while not (project / "reached").exists():
            threading.Event().wait(0.02)
        write_graph(project, "two")
        dev.wait_for("Reloaded")
        client.runs.join(thread, run_id)
        assert client.runs.get(thread, run_id)["status"] == "success"
        assert client.threads.get_state(thread)["values"] == {"answer": "two"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(start: Start, number: int) -> None:
    dev = start("dev", "--port", "0")
    url = dev.url
    assert dev.stop(number) == 0
    assert refused(url)


def test_the_server_does_not_outlive_a_killed_command(project: Path, start: Start) -> None:
    dev = start("dev", "--port", "0")
    url = dev.url
    dev.stop(signal.SIGKILL)
    while not refused(url):
        threading.Event().wait(0.02)
    again = start("dev", "--port", url.rpartition(":")[2])
    assert answer(again.url) == "one"


def test_a_server_that_dies_is_reported_and_started_again_on_a_change(project: Path, start: Start) -> None:
    dev = start("dev", "--port", "0")
    url = dev.url
    for child in children(dev):
        os.kill(child, signal.SIGKILL)
    dev.wait_for("The process was ended by signal 9")
    assert refused(url)
    write_graph(project, "two")
    dev.wait_for("Reloaded")
    assert answer(url) == "two"


def test_a_port_in_use_ends_the_command(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("dev", "--port", str(port), cwd=project)
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in result.stderr
    assert "--port" in result.stderr


def test_a_data_directory_that_cannot_be_written_ends_the_command(project: Path) -> None:
    (project / "file").write_text("")
    environ = {"WAYSTATION_DATA_DIR": str(project / "file" / "data")}
    result = run("dev", "--port", "0", cwd=project, environ=environ)
    assert result.returncode == 1
    assert f"{project / 'file' / 'data'} cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_configuration_ends_the_command(tmp_path: Path) -> None:
    result = run("dev", cwd=tmp_path)
    assert result.returncode == 1
    assert "langgraph.json does not exist" in result.stderr
    assert "waystation new" in result.stderr


def test_options(start: Start) -> None:
    dev = start(
        *("dev", "--host", "0.0.0.0", "--port", "0", "--no-reload", "--no-browser"),
        *("--n-jobs-per-worker", "3", "--server-log-level", "warning"),
        environ={"N_JOBS_PER_WORKER": "7"},
    )
    figures = httpx.get(f"{dev.url}/metrics", params={"format": "json"}).json()
    assert figures["workers"]["max"] == 3
    dev.wait_for("Warning: there is no authentication")


def children(command: Command) -> list[int]:
    """The processes that `command` has started."""
    tasks = Path(f"/proc/{command.pid}/task")
    if not tasks.exists():
        pytest.skip("needs /proc")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
