"""`make bench`: the graphs of bench/app alone, then through `waystation serve`, as one table beside the bars of the design.

usage: report.py [--seconds 6] [--threads 100000] [--turns 1000] [--port 2424]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BENCH = Path(__file__).parent
CONFIG = BENCH / "app" / "langgraph.json"

QUIET_S = 6
"""Until an idle server has emptied its write-ahead log, which counts as disk space."""

STARTS = 5
"""Starts whose median counts: one alone says more of the machine than of the server."""

# name, measured figure, limit (the same without a server), bar; a bar is a share of the limit, or an absolute figure
Row = tuple[str, float | None, str, float | None, float, bool]


def main() -> None:
    options = _options()
    console = Console()
    with console.status("starts"):
        starts = [_start_s(options.port) for _ in range(STARTS)]
    rows: list[Row] = [("start to /ok", statistics.median(starts), "s", None, 1.5, False)]
    with console.status("the graphs, no server"):
        bare = _json_of("bare.py")
    with _server(options.port) as server:
        rows.append(("memory, idle", _resident_mb(server.process.pid), "MB", None, 130, False))
        with console.status("load"):
            cases = _json_of(
                "load.py", server.url, "--seconds", str(options.seconds), "--threads", str(options.threads)
            )
    with _server(options.port) as server, console.status(f"{options.turns} turns on one thread"):
        time.sleep(QUIET_S)
        grown = _json_of("grow.py", server.url, server.data_dir, str(options.turns))
    rows += _load_rows(cases, bare, options.threads) + _grow_rows(grown)
    console.print(_table(rows))
    print(json.dumps({"bare": bare, "load": cases, "grow": grown}))


def _load_rows(cases: dict[str, Any], bare: dict[str, float], threads: int) -> list[Row]:
    echo, ten = bare["echo_no_checkpointer"], bare["steps10_memory_checkpointer"]
    chat = bare["chat_message_events_per_s"]
    return [
        ("create + wait, 16 clients", _in(cases, "stateless_wait_c16", "rate"), "/s", echo, 0.5, True),
        ("thread + run + wait, 16 clients", _in(cases, "thread_turn_c16", "rate"), "/s", echo, 0.3, True),
        ("the same, 1 client, p50", _in(cases, "thread_turn_c1", "p50_ms"), "ms", None, 8, False),
        ("10 steps, durable, 8 clients", _in(cases, "steps10_c8", "rate"), "/s", ten, 0.5, True),
        ("first streamed token, p50", _in(cases, "stream_latency", "ttft_p50_ms"), "ms", None, 10, False),
        ("streamed events, 16 streams", _in(cases, "stream_throughput_16x400", "events_per_s"), "/s", chat, 0.7, True),
        ("64 runs that sleep 1 s", _in(cases, "concurrent_sleepers_64", "64_runs_of_1s_took_s"), "s", None, 1.5, False),
        (
            f"search of {threads:,} threads, p50",
            _in(cases, "thread_search", "by_metadata_p50_ms"),
            "ms",
            None,
            10,
            False,
        ),
    ]


def _grow_rows(grown: dict[str, Any]) -> list[Row]:
    slower = grown["last10_ms"] / grown["first10_ms"]
    return [
        (f"{grown['turns']:,} turns, on disk", grown["disk_mb"], "MB", None, 5, False),
        (f"turn {grown['turns']:,} against turn 10", slower, "x", None, 3, False),
    ]


def _in(cases: dict[str, Any], case: str, figure: str) -> float | None:
    value: float | None = cases[case].get(figure)
    return value


def _table(rows: list[Row]) -> Table:
    table = Table("measure", "measured", "no server", "ratio", "bar", "")
    for name, measured, unit, limit, bar, is_share in rows:
        if measured is None:
            table.add_row(name, "failed", "", "", "", "[red]no")
            continue
        ratio = measured / limit if limit else None
        holds = (ratio is not None and ratio >= bar) if is_share else measured <= bar
        table.add_row(
            name,
            f"{measured:,.2f} {unit}",
            f"{limit:,.0f} {unit}" if limit else "",
            f"{ratio:.2f}" if ratio is not None else "",
            f"≥ {bar}" if is_share else f"≤ {bar} {unit}",
            "[green]yes" if holds else "[red]no",
        )
    return table


@dataclass(frozen=True)
class _Server:
    url: str
    data_dir: str
    process: subprocess.Popen[bytes]
    start_s: float
    """Seconds from the start of the process to its first answer."""


@contextmanager
def _server(port: int) -> Iterator[_Server]:
    """A server of its own on an empty database."""
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "waystation", "serve", "--config", str(CONFIG), "--port", str(port)]
    with tempfile.TemporaryDirectory() as data_dir:
        environment = {**os.environ, "WAYSTATION_DATA_DIR": data_dir, "LOG_LEVEL": "WARNING"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds everything compiled
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _until(lambda: _answers(f"{url}/ok"), process)
            yield _Server(url, data_dir, process, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait()


def _start_s(port: int) -> float:
    with _server(port) as server:
        return server.start_s


def _until(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not done():
        if process.poll() is not None:
            sys.exit("the server did not start")
        time.sleep(0.01)


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def _json_of(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a script prints last."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _resident_mb(pid: int) -> float | None:
    """Resident memory of a process, in MB; None where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="how long each load case runs")
    parser.add_argument("--threads", type=int, default=100_000, help="threads that are searched")
    parser.add_argument("--turns", type=int, default=1000, help="turns of the growing thread")
    parser.add_argument("--port", type=int, default=2424)
    return parser.parse_args()


if __name__ == "__main__":
    main()
