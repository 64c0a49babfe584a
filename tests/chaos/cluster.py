"""A fleet with its database and its bus, all of which can fail."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from tests.chaos.chronicle import Chronicle
from tests.chaos.member import Member
from tests.chaos.postgres_server import PostgresServer
from tests.chaos.valkey_process import ValkeyProcess
from tests.ports import free_port

__all__ = ["LEASE_S", "Cluster", "running_cluster"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

LEASE_S = 2.0
"""How long a worker may be silent until another one takes over its runs."""

START_S = 60
"""How long a process may take to start while others do."""

RESTART_S = 0.3
"""How long a process that ended by itself stays away."""

TAIL = 60
"""Lines of each process's log that a failing test prints."""


class Cluster:
    """API processes and workers on one PostgreSQL and one Valkey. `start` and `close` are blocking."""

    def __init__(self, directory: Path, *, apis: int, workers: int, pause_s: float) -> None:
        self.chronicle = Chronicle()
        self.postgres = PostgresServer()
        self.valkey = ValkeyProcess()
        environ = {
            "DATABASE_URI": self.postgres.uri,
            "REDIS_URI": self.valkey.url,
            "WAYSTATION_LEASE_SECS": str(LEASE_S),
            "WAYSTATION_HEARTBEAT_SECS": "1",
            "LANGGRAPH_POSTGRES_POOL_MAX_SIZE": "4",
            "LOG_COLOR": "false",
            "RESUMABLE_STREAM_TTL_SECONDS": "3600",
            # Each kill of a worker costs the runs it has an attempt.
            "BG_JOB_MAX_RETRIES": "1000",
            "CHAOS_PAUSE_S": str(pause_s),
            "COLUMNS": "300",
        }
        ports = [free_port() for _ in range(apis)]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        project = ("--config", str(PROJECT))
        self.apis = [
            Member(f"api {number}", ("serve", "--api-only", "--port", str(port), *project), directory, environ)
            for number, port in enumerate(ports)
        ]
        self.workers = [
            Member(f"worker {number}", ("worker", *project), directory, environ) for number in range(workers)
        ]

    @property
    def members(self) -> list[Member]:
        return [*self.apis, *self.workers]

    async def ready(self, members: Iterable[Member]) -> None:
        """Wait until these are at work."""
        until = time.monotonic() + START_S
        for member in members:
            while not member.ready:
                assert time.monotonic() < until, f"{member.name} does not start"
                await asyncio.sleep(0.05)

    async def keep_alive(self) -> None:
        """Start again what ended by itself, as an operator's supervisor does. One that could not start because the database was
        away is none of the server's faults."""
        while True:
            for member in self.members:
                code = member.exit_code()
                if code is None:
                    continue
                told = f"{member.name} ended by itself with exit code {code}"
                if member.ready or code != 1:
                    self.chronicle.blame(told)
                else:
                    self.chronicle.note(f"{told} while it started")
                member.kill()
                await asyncio.sleep(RESTART_S)
                if not member.launched:
                    member.launch()
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Leave nothing behind."""
        for member in self.members:
            member.kill()
        self.valkey.close()
        self.postgres.close()

    def report(self) -> str:
        """What happened, and the last that each process has said."""
        tails = [f"--- {each.name}\n" + "\n".join(each.log.splitlines()[-TAIL:]) for each in self.members]
        postgres = self.postgres.log_file.read_text(errors="replace").splitlines()[-TAIL:]
        return "\n".join([str(self.chronicle), *tails, "--- postgres", *postgres])


@contextlib.asynccontextmanager
async def running_cluster(
    directory: Path, *, apis: int, workers: int, pause_s: float, idle_workers: int = 0
) -> AsyncIterator[Cluster]:
    """A cluster of which nothing is left in the end; its last `idle_workers` are not started. When the block fails, it prints
    what happened."""
    cluster = await asyncio.to_thread(Cluster, directory, apis=apis, workers=workers, pause_s=pause_s)
    try:
        members = cluster.members[: len(cluster.members) - idle_workers]
        for member in members:
            member.launch()
        await cluster.ready(members)
        yield cluster
    except BaseException:
        print(cluster.report())
        raise
    finally:
        await asyncio.to_thread(cluster.close)
