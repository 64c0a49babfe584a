"""The graphs of bench/app alone, then through a server, as one table beside the bars of the design.

usage: report.py [--system sqlite|postgres|workers] [--workers 2] [--url URL] [--json FILE] [--against FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from backends import leave_in_good_order
from systems import KINDS, Server, Start, system
from tables import Results, table

BENCH = Path(__file__).parent

QUIET_S = 6
"""Until an idle server has emptied its write-ahead log, which counts as disk space, and all processes of a fleet are up."""

WIDTH = 130
"""Characters of a line where there is no terminal to ask."""

STARTS = 5
"""Starts whose median counts: one alone says more of the machine than of the server."""


def main() -> None:
    leave_in_good_order()
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    against: Results | None = json.loads(options.against.read_text()) if options.against else None
    results: Results = {"system": _name(options), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    with console.status("the graphs, no server"):
        results["bare"] = _json_of("bare.py")
    if options.url:
        with console.status("load"):
            results["load"] = _load(options.url, options)
    else:
        with system(options.system, workers=options.workers, port=options.port) as start:
            _measure(results, start, options, console)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    console.print(table(results, against))


def _measure(results: Results, start: Start, options: argparse.Namespace, console: Console) -> None:
    """What can be measured of a server that we start ourselves."""
    with console.status("starts"):
        results["starts_s"] = [_start_s(start) for _ in range(STARTS)]
    with start() as server, console.status("load"):
        time.sleep(QUIET_S)
        results["idle_kb"] = server.resident_kb()
        results["load"] = _load(server.url, options)
    if options.turns:
        with start() as server, console.status(f"{options.turns} turns on one thread"):
            time.sleep(QUIET_S)
            results["grow"] = _grow(server, options.turns)


def _start_s(start: Start) -> float:
    with start() as server:
        return server.start_s


def _load(url: str, options: argparse.Namespace) -> dict[str, Any]:
    headers = [word for header in options.header for word in ("--header", header)]
    return _json_of("load.py", url, "--seconds", str(options.seconds), "--threads", str(options.threads), *headers)


def _grow(server: Server, turns: int) -> dict[str, Any]:
    before = server.disk_bytes()
    with tempfile.TemporaryDirectory() as nothing:  # it measures a directory; a database in PostgreSQL is not one
        grown = _json_of("grow.py", server.url, nothing, str(turns))
    time.sleep(QUIET_S)
    return {**grown, "disk_mb": round((server.disk_bytes() - before) / 1e6, 2)}


def _json_of(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a script prints last."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _name(options: argparse.Namespace) -> str:
    if options.url:
        return str(options.url)
    return f"workers {options.workers}" if options.system == "workers" else str(options.system)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=KINDS, default="sqlite", help="what to start")
    parser.add_argument("--workers", type=int, default=1, help="processes of the system `workers` that execute runs")
    parser.add_argument("--url", help="measure this server instead of starting one; it serves bench/app")
    parser.add_argument("--header", action="append", default=[], help="'Name: value' for each request under load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures in this file")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the figures of this file")
    parser.add_argument("--seconds", type=float, default=6, help="how long each load case runs")
    parser.add_argument("--threads", type=int, default=100_000, help="threads that are searched, more than 1,050")
    parser.add_argument("--turns", type=int, default=1000, help="turns of the growing thread; 0 leaves that out")
    parser.add_argument("--port", type=int, default=2424)
    return parser.parse_args()


if __name__ == "__main__":
    main()
