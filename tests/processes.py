"""A Waystation server in a process of its own: started, killed and restarted as an operator's would be."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from tests.databases import DIALECT, database_uri
from tests.ports import free_port

__all__ = ["ServerProcess", "clean_environ", "running_server"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

START_S = 30
"""How long a server may take until it answers /ok, on a machine that is busy with other tests."""

STOP_S = 15
"""How long a server may take to leave after SIGTERM."""

FOREIGN = ("LANGSMITH", "LANGCHAIN", "LANGGRAPH", "WAYSTATION", "DATABASE_URI", "REDIS_URI", "POSTGRES_URI", "LOG_")
"""Prefixes of variables that would change a server under test; it gets only those that the test names."""


class ServerProcess:
    """`waystation serve` on a port of its own, with its data in `data_dir`. Data and port outlive the process."""

    def __init__(self, data_dir: Path, *, config: Path = PROJECT, environ: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log_file = data_dir / "server.log"
        self._config = config
        self._environ = {**clean_environ(), **_where(data_dir), **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything that the processes so far have printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def launch(self) -> None:
        """Start a process, on the port and the data of those before it, without waiting for it."""
        assert self._process is None, "the server runs already"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "waystation", "serve", "--config", str(self._config), "--port", str(self.port)]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=self._environ)

    def start(self) -> None:
        """`launch`, and wait until the server answers. AssertionError with its output if it does not."""
        self.launch()
        assert self._process is not None
        until = time.monotonic() + START_S
        # One client for all attempts, without TLS: a context with certificates takes more time than an attempt.
        with httpx.Client(base_url=self.url, timeout=1, verify=False) as client:
            while not _answers(client):
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    raise AssertionError(f"The server did not start:\n{self.log}")
                time.sleep(0.02)

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and do not wait for what comes of it."""
        assert self._process is not None, "the server does not run"
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask the process to leave (SIGTERM) and return its exit code."""
        self.signal()
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has left."""
        assert self._process is not None, "the server does not run"
        try:
            return self._process.wait(STOP_S)
        finally:
            self.kill()


@contextlib.contextmanager
def running_server(
    data_dir: Path, *, config: Path = PROJECT, environ: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A started server, gone at the end."""
    server = ServerProcess(data_dir, config=config, environ=environ)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def clean_environ() -> dict[str, str]:
    """The variables that a process under test inherits."""
    # Compiling every module anew would double the time that each of these processes takes.
    return {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "PYTHONDONTWRITE"))}


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ok").status_code == 200
    except httpx.TransportError:
        return False


def _where(data_dir: Path) -> dict[str, str]:
    """Where a server keeps its data: in `data_dir`, or in the database that stands for it."""
    place = {"WAYSTATION_DATA_DIR": str(data_dir)}
    return place if DIALECT == "sqlite" else {**place, "DATABASE_URI": database_uri(data_dir)}
