"""Whether all is well with a thread and its runs once everything is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.chaos.clients import Clients
from tests.chaos.project.graphs import words
from tests.chaos.scripts import Plan, Script
from tests.chaos.undisturbed import INTERRUPT, Undisturbed, plain, undisturbed
from tests.faults.events import Event, position

__all__ = ["examine"]


async def examine(script: Script, clients: Clients) -> None:
    """Raise AssertionError if anything is not as it would be had there been no faults."""
    thread_id = script.thread_id
    runs = await clients.ask("GET", f"/threads/{thread_id}/runs", params={"limit": 1000})
    runs.sort(key=lambda run: (run["created_at"], run["run_id"]))
    assert {run["status"] for run in runs} == {"success"}, [(run["run_id"], run["status"]) for run in runs]
    order = [run["run_id"] for run in runs]
    accepted = [plan.run_id for plan in script.runs]
    assert [run_id for run_id in order if run_id in accepted] == accepted

    expected = await undisturbed(script.graph, [run["kwargs"] for run in runs])
    await _examine_thread(thread_id, expected, clients)
    history = await clients.ask("POST", f"/threads/{thread_id}/history", json={"limit": 1000})
    _examine_history(history, order)
    for plan in script.runs:
        at = order.index(plan.run_id)
        if plan.way == "stream":
            await _examine_stream(script, plan, expected.states[at], expected.values[at], clients)
        else:
            # The result of a run that ended unseen is found in its thread; then a later run may have gone on from there.
            possible = [result for values in expected.values[at:] for result in _results(values[-1])]
            assert plain(plan.result) in possible, (plan, possible)


def _results(last: dict[str, Any]) -> list[Any]:
    """What a client that waits for a run may get when this is the last that the run shows: the thread's row has the questions
    of an interrupted run without the rest."""
    return [last, {INTERRUPT: last[INTERRUPT]}] if INTERRUPT in last else [last]


async def _examine_thread(thread_id: str, expected: Undisturbed, clients: Clients) -> None:
    thread = await clients.ask("GET", f"/threads/{thread_id}")
    state = await clients.ask("GET", f"/threads/{thread_id}/state")
    assert thread["status"] == ("interrupted" if expected.waiting else "idle")
    assert plain(thread["values"]) == expected.states[-1]
    assert plain(state["values"]) == expected.states[-1]
    assert bool(state["next"]) == expected.waiting


def _examine_history(history: list[Any], order: Sequence[str]) -> None:
    """One chain, of the runs in their order, and nothing of an attempt after a later one has begun."""
    history.reverse()
    made = [
        (
            state["metadata"]["step"],
            (state["parent_checkpoint"] or {}).get("checkpoint_id"),
            state["checkpoint"]["checkpoint_id"],
            order.index(state["metadata"]["run_id"]),
            state["metadata"]["run_attempt"],
        )
        for state in history
    ]
    told = "\n".join(
        f"step {step} {parent} -> {own} run {run} attempt {attempt}" for step, parent, own, run, attempt in made
    )
    chain = [None, *(own for _, _, own, _, _ in made)]
    assert [parent for _, parent, _, _, _ in made] == chain[:-1], f"not one chain:\n{told}"
    assert [step for step, *_ in made] == list(range(-1, len(made) - 1)), f"not one step after the other:\n{told}"
    authors = [(run, attempt) for _, _, _, run, attempt in made]
    assert authors == sorted(authors), f"an earlier attempt goes on after a later one has begun:\n{told}"


async def _examine_stream(script: Script, plan: Plan, before: Any, values: Sequence[Any], clients: Clients) -> None:
    """What the client has collected is what was stored, and that is what an undisturbed client would have seen, but for
    what later attempts repeat."""
    positions = [position(event) for event in plan.events]
    assert positions == sorted(set(positions)), f"{plan.run_id}: out of order or twice: {positions}"
    stored = await clients.replay(script.thread_id, plan.run_id)
    assert plan.events == stored, f"{plan.run_id}: {_difference(plan.events, stored)}"
    attempts = _attempts(plan.events)
    numbers = [attempt[0].data["attempt"] for attempt in attempts]
    assert numbers == sorted(set(numbers)), f"{plan.run_id}: attempts {numbers}"
    shown = [[plain(e.data) for e in attempt if e.name == "values"] for attempt in attempts]
    _examine_values(plan, list(zip(numbers, shown, strict=True)), before, values)
    if script.graph == "talking":
        told = [[e.data[0]["content"] for e in attempt if e.name == "messages"] for attempt in attempts]
        said = [[token for token in tokens if token] for tokens in told]  # LangChain ends a message with an empty one
        text = words(plan.tag)
        assert all(part == text[: len(part)] for part in said), f"{plan.run_id}: {said}"
        assert text in said, f"{plan.run_id}: no attempt said it all: {said}"


def _attempts(events: Sequence[Event]) -> list[list[Event]]:
    """The events of each attempt, which begins with a ``metadata`` event."""
    attempts: list[list[Event]] = []
    for event in events:
        if event.name == "metadata":
            attempts.append([])
        attempts[-1].append(event)
    return attempts


def _examine_values(
    plan: Plan, attempts: Sequence[tuple[int, Sequence[Any]]], before: Any, values: Sequence[Any]
) -> None:
    """Each attempt shows states that follow each other, from one that was seen or the next one on; the last one comes. A later
    attempt may begin with the state `before` the run, in case nothing but its input was stored."""
    possible = [before, *values]
    seen = 1
    for number, shown in attempts:
        starts = range(seen + 1) if number > 1 else [1]
        fitting = [at for at in starts if possible[at : at + len(shown)] == list(shown)]
        assert fitting, (
            f"{plan.run_id}: {seen - 1} of {len(values)} states had been seen; {_places(attempts, possible)}"
        )
        seen = max(seen, fitting[-1] + len(shown))
    assert seen == len(possible), f"{plan.run_id}: not all {len(values)} states came; {_places(attempts, possible)}"


def _places(attempts: Sequence[tuple[int, Sequence[Any]]], possible: Sequence[Any]) -> str:
    """The states that attempts showed, as places in `possible`."""
    return "; ".join(
        f"attempt {number} showed {[possible.index(state) if state in possible else state for state in shown]}"
        for number, shown in attempts
    )


def _difference(collected: Sequence[Event], stored: Sequence[Event]) -> str:
    missing = [event for event in stored if event not in collected]
    surplus = [event for event in collected if event not in stored]
    return f"{len(collected)} came, {len(stored)} are stored; missing {missing[:5]}, not stored {surplus[:5]}"
