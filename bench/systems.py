"""The systems under test: `waystation serve` with the graphs of bench/app, in processes of its own on an empty database."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backends import Backends, database_bytes, empty_database, running_backends

__all__ = ["KINDS", "Server", "Start", "serving", "system"]

CONFIG = Path(__file__).parent / "app" / "langgraph.json"

KINDS = ("sqlite", "sqlite-sync", "postgres", "workers")
"""One process on SQLite; the same with commits that wait for the disk; one process on PostgreSQL and Valkey; an API process and
workers on PostgreSQL and Valkey."""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    start_s: float
    """Seconds from the start of the process to its first answer."""
    pid: int
    """Of the process that was started; it may have children."""
    disk_bytes: Callable[[], int]

    def resident_kb(self) -> dict[str, int]:
        """Resident memory in kB of each of its processes, by a name for the process; nothing where there is no /proc."""
        return {_named(pid): kb for pid in _tree(self.pid) if (kb := _resident_kb(pid)) is not None}


Start = Callable[[int], AbstractContextManager[Server]]
"""Starts a server on a port and on an empty database; it is gone at the end of the context."""


@contextmanager
def system(kind: str, *, workers: int) -> Iterator[Start]:
    """A way to start servers of a kind of `KINDS`."""
    if kind.startswith("sqlite"):
        yield partial(_on_sqlite, "true" if kind == "sqlite-sync" else "false")
    else:
        with running_backends() as backends:
            yield partial(_on_postgres, backends, ("--workers", str(workers)) if kind == "workers" else ())


@contextmanager
def _on_sqlite(sync: str, port: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as data_dir:

        def disk_bytes() -> int:
            return sum(file.stat().st_size for file in Path(data_dir).rglob("*"))

        with serving(port, {"WAYSTATION_DATA_DIR": data_dir, "WAYSTATION_SQLITE_SYNC": sync}, disk_bytes) as server:
            yield server


@contextmanager
def _on_postgres(backends: Backends, arguments: tuple[str, ...], port: int) -> Iterator[Server]:
    with empty_database(backends.database_uri) as uri, tempfile.TemporaryDirectory() as data_dir:
        environ = {
            "WAYSTATION_DATA_DIR": data_dir,
            "DATABASE_URI": uri,
            "REDIS_URI": backends.redis_uri,
            "REDIS_KEY_PREFIX": uuid.uuid4().hex,
        }
        with serving(port, environ, partial(database_bytes, uri), *arguments) as server:
            yield server


@contextmanager
def serving(
    port: int, environ: Mapping[str, str], disk_bytes: Callable[[], int] = lambda: 0, *arguments: str
) -> Iterator[Server]:
    """`waystation serve` with `arguments` and these variables, until the end of the context."""
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "waystation", "serve", "--config", str(CONFIG), "--port", str(port), *arguments]
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URI", "REDIS_URI")}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds everything compiled
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**inherited, "LOG_LEVEL": "WARNING", **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(f"{url}/ok"):
            if process.poll() is not None:
                sys.exit(f"the server did not start; try: {' '.join(command)}")
            time.sleep(0.01)
        yield Server(url, time.perf_counter() - started, process.pid, disk_bytes)
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _named(pid: int) -> str:
    """The process's id and, in a fleet, its role."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    role = next((word for word in words if word in ("api", "worker")), "serve")
    return f"{role} {pid}"


def _resident_kb(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
