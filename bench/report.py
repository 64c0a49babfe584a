"""The graphs of bench/app alone and through a server, in turn, as one table beside the bars of the design.

usage: report.py [--system sqlite|sqlite-sync|postgres|workers] [--workers 2] [--url URL] [--json FILE] [--against FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from backends import leave_in_good_order
from sitting import json_of, output
from systems import KINDS, Server, Start, system
from tables import MEASURES, Results, table

QUIET_S = 6
"""Until an idle server has emptied its write-ahead log, which counts as disk space, and all processes of a fleet are up."""

GROWN = 3
"""Threads that grow, one after the other: the median counts, as the first turns of one are a matter of half a second."""

REPEATED = ("warm", *MEASURES)
"""Cases of `load.py` that are measured in every round."""


def main() -> None:
    leave_in_good_order()
    options = _options()
    console = output()
    against: Results | None = json.loads(options.against.read_text()) if options.against else None
    results: Results = {"system": _name(options), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    if options.url:
        _load(results, options.url, options, console)
    else:
        with system(options.system, workers=options.workers) as start:
            _measure(results, start, options, console)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    console.print(table(results, against))


def _measure(results: Results, start: Start, options: argparse.Namespace, console: Console) -> None:
    """What can be measured of a server that we start ourselves."""
    starts_s = results["starts_s"] = []

    def start_another() -> None:
        with console.status("start"), start(options.port + 1) as other:
            starts_s.append(other.start_s)

    with start(options.port) as server:
        time.sleep(QUIET_S)
        results["idle_kb"] = server.resident_kb()
        _load(results, server.url, options, console, start_another)
    if options.turns:
        with start(options.port) as server, console.status(f"{options.turns} turns on one thread, {GROWN} times"):
            time.sleep(QUIET_S)
            results["grow"] = _median([_grow(server, options.turns) for _ in range(GROWN)])


def _load(
    results: Results,
    url: str,
    options: argparse.Namespace,
    console: Console,
    beforehand: Callable[[], None] = lambda: None,
) -> None:
    """Each case in turn with its limit, several times over: a machine whose speed changes from minute to minute is fast or slow
    for both. The median of all rounds counts. `beforehand` is done in each round as well."""
    headers = [word for header in options.header for word in ("--header", header)]
    given = [url, "--seconds", str(options.seconds), *headers]
    bare, load = [], []
    for number in range(1, options.rounds + 1):
        beforehand()
        with console.status(f"the graphs, no server ({number} of {options.rounds})"):
            bare.append(json_of("bare.py"))
        with console.status(f"load ({number} of {options.rounds})"):
            load.append(json_of("load.py", *given, "--only", ",".join(REPEATED)))
    results["bare"] = _median(bare)
    with console.status("search"):
        search = json_of("load.py", *given, "--only", "thread_search", "--threads", str(options.threads))
    results["load"] = {**_median(load), **search}


def _median(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figure by figure. A case that failed once has failed, and what is no figure is as it was the first time."""
    failed = next((each for each in rounds if "failed" in each), None)
    if failed is not None:
        return dict(failed)
    return {key: _middle([each[key] for each in rounds]) for key in rounds[0]}


def _middle(values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        return _median(values)
    return statistics.median(values) if isinstance(values[0], int | float) else values[0]


def _grow(server: Server, turns: int) -> dict[str, Any]:
    before = server.disk_bytes()
    with tempfile.TemporaryDirectory() as nothing:  # it measures a directory; a database in PostgreSQL is not one
        grown = json_of("grow.py", server.url, nothing, str(turns))
    time.sleep(QUIET_S)
    return {**grown, "disk_mb": round((server.disk_bytes() - before) / 1e6, 2)}


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
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is measured; the median counts")
    parser.add_argument("--seconds", type=float, default=3, help="how long a case runs in each round")
    parser.add_argument("--threads", type=int, default=100_000, help="threads that are searched, more than 1,050")
    parser.add_argument("--turns", type=int, default=1000, help="turns of the growing thread; 0 leaves that out")
    parser.add_argument("--port", type=int, default=2424)
    return parser.parse_args()


if __name__ == "__main__":
    main()
