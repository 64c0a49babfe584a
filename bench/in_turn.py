"""Several systems at once, measured in turn, case by case: the only way to compare them on a machine whose speed changes by the minute.

usage: in_turn.py [--rounds 12] [--seconds 1] [--only case,case] [SYSTEM ...]

A SYSTEM is sqlite, sqlite-sync, postgres or workers:N. The others are related to the first one, round by round; the mean of these
ratios and its standard error are shown. Above 1 is better than the first; the bar is 0.7.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from rich.table import Table

from backends import leave_in_good_order
from sitting import json_of, output
from systems import system
from tables import MEASURES

SHARE = 0.7
"""What the others have to keep of each figure of the first: the design asks that of PostgreSQL and Redis."""

Rounds = dict[tuple[str, str], list[float]]
"""Figures of each round, by system and case."""


def main() -> None:
    leave_in_good_order()
    options = _options()
    console = output()
    cases = options.only.split(",")
    rounds: Rounds = {(name, case): [] for name in options.systems for case in cases}
    with _started(options.systems, options.port) as urls:
        for name in options.systems:
            _figures(urls[name], ["warm", *cases], 1)
        for number in range(1, options.rounds + 1):
            with console.status(f"round {number} of {options.rounds}"):
                _round(urls, cases, options.seconds, rounds)
    console.print(_table(options.systems, cases, rounds))


@contextmanager
def _started(names: Sequence[str], port: int) -> Iterator[dict[str, str]]:
    """The URLs of servers, one for each name."""
    with ExitStack() as stack:
        urls = {}
        for number, name in enumerate(names):
            kind, _, workers = name.partition(":")
            start = stack.enter_context(system(kind, workers=int(workers or 1)))
            urls[name] = stack.enter_context(start(port + number)).url
        yield urls


def _round(urls: dict[str, str], cases: Sequence[str], seconds: float, rounds: Rounds) -> None:
    """Each case on all systems, one right after the other, in an order that is different each time."""
    for case in cases:
        for name in random.sample([*urls], len(urls)):
            rounds[name, case].append(_figures(urls[name], [case], seconds)[case])


def _figures(url: str, cases: Sequence[str], seconds: float) -> dict[str, float]:
    """What `load.py` finds out about `cases`."""
    found = json_of("load.py", url, "--seconds", str(seconds), "--only", ",".join(cases))
    if failed := [case for case in cases if "failed" in found[case] or found[case].get("errors")]:
        sys.exit(f"{url} failed: {', '.join(f'{case} {found[case]}' for case in failed)}")
    return {case: found[case][MEASURES[case].figure] for case in cases if case in MEASURES}


def _table(names: Sequence[str], cases: Sequence[str], rounds: Rounds) -> Table:
    made = Table("measure", *names)
    for case in cases:
        measure = MEASURES[case]
        cells = []
        for name in names:
            figures = rounds[name, case]
            cell = f"{statistics.median(figures):,.1f} {measure.unit}"
            if name != names[0]:
                cell += f" = {_share(rounds[names[0], case], figures, measure.more)}"
            cells.append(cell)
        made.add_row(measure.name, *cells)
    return made


def _share(first: Sequence[float], other: Sequence[float], more: bool) -> str:
    """How good `other` is beside the first, with the standard error if there were several rounds."""
    shares = [theirs / ours if more else ours / theirs for ours, theirs in zip(first, other, strict=True)]
    error = f" ± {statistics.stdev(shares) / math.sqrt(len(shares)):.2f}" if len(shares) > 1 else ""
    share = statistics.mean(shares)
    return f"[{'green' if share >= SHARE else 'red'}]{share:.2f}{error}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "systems", nargs="*", metavar="SYSTEM", default=["sqlite", "sqlite-sync", "postgres", "workers:1"]
    )
    parser.add_argument("--rounds", type=int, default=12, help="how often each case is measured on each system")
    parser.add_argument("--seconds", type=float, default=1, help="how long a case runs each time")
    parser.add_argument("--only", default=",".join(MEASURES), help="cases of load.py, with commas")
    parser.add_argument("--port", type=int, default=2434)
    return parser.parse_args()


if __name__ == "__main__":
    main()
