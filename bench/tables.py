"""What a sitting measured, as a table beside the bars of the design and, if wanted, beside another sitting."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from rich.table import Table

__all__ = ["MEASURES", "Results", "table"]

SPEED = "echo_no_checkpointer"
"""Figure of `bare.py` that says how fast a machine is at that time."""


class Measure(NamedTuple):
    """One case of `load.py` that is measured over and over."""

    name: str
    figure: str
    """What counts of that which the case finds out."""
    unit: str
    bar: float
    """Highest figure; with a `limit` lowest share of it."""
    limit: str | None = None
    """The same in `bare.py`, without a server; then more is better."""

    @property
    def more(self) -> bool:
        """Whether more is better."""
        return self.limit is not None


MEASURES = {
    "stateless_wait_c16": Measure("create + wait, 16 clients", "rate", "/s", 0.5, SPEED),
    "thread_turn_c16": Measure("thread + run + wait, 16 clients", "rate", "/s", 0.3, SPEED),
    "thread_turn_c1": Measure("the same, 1 client, p50", "p50_ms", "ms", 8),
    "steps10_c8": Measure("10 steps, durable, 8 clients", "rate", "/s", 0.5, "steps10_memory_checkpointer"),
    "stream_latency": Measure("first streamed token, p50", "ttft_p50_ms", "ms", 10),
    "stream_throughput_16x400": Measure(
        "streamed events, 16 streams", "events_per_s", "/s", 0.7, "chat_message_events_per_s"
    ),
    "concurrent_sleepers_64": Measure("64 runs that sleep 1 s", "64_runs_of_1s_took_s", "s", 1.5),
}
"""By the case, in the order of the table."""


class Results(TypedDict, total=False):
    """Everything measured in one sitting, as it is kept in a file. What a system does not offer is missing."""

    system: str
    """``sqlite``, ``sqlite-sync``, ``postgres``, ``workers N`` or a URL."""
    at: str
    """When, ISO 8601."""
    bare: dict[str, float]
    starts_s: list[float]
    idle_kb: dict[str, int]
    load: dict[str, dict[str, Any]]
    grow: dict[str, float]


@dataclass(frozen=True)
class _Row:
    key: str
    name: str
    figure: float | None
    unit: str
    bar: float
    """Highest figure; with a `limit` lowest share of it."""
    limit: float | None = None
    """The same without a server; then more is better."""
    under_load: bool = False
    """Whether the bar is for SQLite only: others are held to what SQLite does at the same time (`in_turn.py`)."""


def table(results: Results, against: Results | None) -> Table:
    """One line for each measure. `against` adds its figures and how much better ours are, on a machine that is as fast as it was then:
    2 is twice as fast, or half as long."""
    made = Table("measure", "measured", "no server", "ratio", "bar", "", title=results["system"])
    others = {row.key: row.figure for row in _rows(against)} if against else {}
    if against:
        made.add_column(against["system"])
        made.add_column("better by")
    then_by_now = against["bare"][SPEED] / results["bare"][SPEED] if against else 1
    for row in _rows(results):
        better = _better(row, others.get(row.key), then_by_now if row.under_load else 1)
        bar, holds = _verdict(row, results["system"])
        cells = [
            row.name,
            "failed" if row.figure is None else _shown(row.figure, row.unit),
            f"{row.limit:,.0f} {row.unit}" if row.limit else "",
            f"{row.figure / row.limit:.2f}" if row.limit and row.figure is not None else "",
            bar,
            "" if holds is None else "[green]yes" if holds else "[red]no",
        ]
        if against:
            other = others.get(row.key)
            cells += ["" if other is None else _shown(other, row.unit), "" if better is None else f"{better:.2f}"]
        made.add_row(*cells)
    return made


def _verdict(row: _Row, system: str) -> tuple[str, bool | None]:
    """The bar in words, and whether the row clears it; None if it has none."""
    if "://" in system or (row.under_load and not system.startswith("sqlite")):
        return "", None
    if row.limit is not None:
        return f"≥ {row.bar}", row.figure is not None and row.figure / row.limit >= row.bar
    return f"≤ {row.bar:g} {row.unit}", row.figure is not None and row.figure <= row.bar


def _better(row: _Row, other: float | None, then_by_now: float) -> float | None:
    """`then_by_now` is how much faster the machine was when `other` was measured."""
    if not row.figure or not other:
        return None
    return (row.figure / other if row.limit is not None else other / row.figure) * then_by_now


def _shown(figure: float, unit: str) -> str:
    return f"{figure:,.2f} {unit}" if figure < 100 else f"{figure:,.0f} {unit}"


def _rows(results: Results) -> list[_Row]:
    rows = []
    if "starts_s" in results:
        rows.append(_Row("start", "start to /ok", statistics.median(results["starts_s"]), "s", 1.5))
    if results.get("idle_kb"):
        largest = max(results["idle_kb"].values()) / 1024
        name = "memory, idle" if len(results["idle_kb"]) == 1 else f"memory, idle, largest of {len(results['idle_kb'])}"
        rows.append(_Row("memory", name, largest, "MB", 130))
    rows += _load_rows(results["load"], results["bare"])
    if "grow" in results:
        rows += _grow_rows(results["grow"])
    return rows


def _load_rows(load: dict[str, dict[str, Any]], bare: dict[str, float]) -> list[_Row]:
    rows = []
    for case, measure in MEASURES.items():
        limit = None if measure.limit is None else bare[measure.limit]
        figure = load[case].get(measure.figure)
        rows.append(_Row(case, measure.name, figure, measure.unit, measure.bar, limit, under_load=True))
    search = load["thread_search"]
    name = f"search of {search.get('threads', 0):,} threads, p50"
    return [*rows, _Row("thread_search", name, search.get("by_metadata_p50_ms"), "ms", 10)]


def _grow_rows(grown: dict[str, float]) -> list[_Row]:
    turns = f"{grown['turns']:,}"
    slower = grown["last10_ms"] / grown["first10_ms"]
    return [
        _Row("disk", f"{turns} turns, on disk", grown["disk_mb"], "MB", 5),
        _Row("turns", f"turn {turns} against turn 10", slower, "x", 3),
    ]
