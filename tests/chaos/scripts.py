"""What clients do on one thread each, as a seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal
from uuid import UUID

__all__ = ["Plan", "Script", "scripts"]

Way = Literal["stream", "wait", "background"]

WAYS: tuple[Way, ...] = ("stream", "wait", "background")

GRAPHS = ("stepping", "talking", "nesting", "asking")

MOST_RUNS = 4
"""Runs on one thread at most."""


@dataclass
class Plan:
    """One run as its client wants it, and what became of it."""

    tag: str
    way: Way
    body: dict[str, Any]
    run_id: str = ""
    """Set once the client knows it: the run is accepted."""
    events: list[Any] = field(default_factory=list)
    """What a stream brought (`tests.faults.events.Event`)."""
    result: Any = None
    """What waiting for the run gave."""


@dataclass
class Script:
    """One thread and its runs. Those of one round are created one after the other, without waiting for their ends."""

    thread_id: str
    graph: str
    rounds: list[list[Plan]]

    @property
    def runs(self) -> list[Plan]:
        """All of its runs, in the order in which they are created."""
        return [run for each in self.rounds for run in each]


def scripts(random: Random, runs: int) -> list[Script]:
    """Scripts with so many `runs` in all, a third of them streamed."""
    numbers = iter(range(runs))
    found: list[Script] = []
    left = runs
    while left:
        graph = GRAPHS[len(found) % len(GRAPHS)]
        count = 2 if graph == "asking" else random.randint(1, MOST_RUNS)
        if count > left:
            graph, count = "stepping", left
        thread_id = str(UUID(int=random.getrandbits(128), version=4))
        found.append(Script(thread_id, graph, list(_rounds(random, graph, [next(numbers) for _ in range(count)]))))
        left -= count
    return found


def _rounds(random: Random, graph: str, numbers: list[int]) -> Iterator[list[Plan]]:
    plans = [_plan(random, graph, number, resumes=graph == "asking" and at == 1) for at, number in enumerate(numbers)]
    if graph == "asking" or random.random() < 0.3:
        yield from ([plan] for plan in plans)  # one after the other
    else:
        yield plans


def _plan(random: Random, graph: str, number: int, *, resumes: bool) -> Plan:
    tag, way = f"r{number}", WAYS[number % len(WAYS)]
    body: dict[str, Any] = {
        "assistant_id": graph,
        "multitask_strategy": "enqueue",
        "durability": random.choice(("sync", "async")),
        "metadata": {"tag": tag},
    }
    if resumes:
        body["command"] = {"resume": tag}
    elif graph == "talking":
        body["input"] = {"tag": tag, "messages": [{"role": "user", "content": "go on", "id": f"question-{tag}"}]}
    else:
        body["input"] = {"tag": tag}
    if way == "stream":
        body |= {"stream_resumable": True, "stream_mode": ["values", "messages-tuple"]}
    return Plan(tag, way, body)
