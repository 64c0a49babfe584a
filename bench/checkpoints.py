"""The checkpoint saver by itself: size and time of a growing conversation, and runs per second of a 1-step graph.

usage: checkpoints.py [--turns 1000] [--runs 600]
Prints one JSON object a line. Times of turns are processor time of the whole process; compare only figures of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from waystation.storage.checkpoints import Saver, storage_report
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase

SYLLABLES = ("in", "con", "re", "pro", "st", "de", "al", "ing", "ed", "er", "ion", "ly", "te", "ma", "ou", "th")
WORDS = [first + second + third for first in SYLLABLES for second in SYLLABLES for third in ("", *SYLLABLES[7:])]
"""A vocabulary of some 2,500 words: text made of it compresses about as well as a language."""


class Echo(TypedDict, total=False):
    x: str
    n: int
    log: Annotated[list[str], lambda a, b: a + b]


def echo_graph(saver: Any) -> Any:
    graph = StateGraph(Echo)
    graph.add_node("echo", lambda state: {"x": state["x"] + "!", "n": state.get("n", 0) + 1})
    graph.add_edge(START, "echo")
    return graph.compile(checkpointer=saver)


def chat_graph(saver: Any, words: int) -> Any:
    source = random.Random(1)

    def answer(state: MessagesState) -> dict[str, Any]:
        text = " ".join(source.choices(WORDS, k=words))
        return {"messages": [AIMessage(text, id=f"lc_run--{uuid.uuid4()}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def grow(turns: int, words: int, folder: Path) -> dict[str, Any]:
    db = SqliteDatabase(folder / "grow.sqlite")
    upgrade(db)
    saver, thread_id = Saver(db), str(uuid.uuid4())
    empty, times, marks = size(folder), [], {}
    graph = chat_graph(None, words)
    for turn in range(1, turns + 1):
        began = time.process_time()
        run = saver.for_run(None)
        own = graph.copy()
        own.checkpointer = run
        metadata = {"run_id": str(uuid.uuid4()), "assistant_id": str(uuid.uuid4()), "graph_id": "chat", "user_id": ""}
        config: Any = {"configurable": {"thread_id": thread_id}, "metadata": metadata}
        await own.ainvoke({"messages": [{"role": "user", "content": f"question {turn}, please"}]}, config)
        await run.flush()
        times.append(1000 * (time.process_time() - began))
        if turn in (10, 100, turns):
            marks[turn] = round(statistics.median(times[-9:]), 2)
    report = await db.read(storage_report, thread_id)
    cold = Saver(db)
    began = time.perf_counter()
    await cold.aget_tuple({"configurable": {"thread_id": thread_id}})
    cold_ms = 1000 * (time.perf_counter() - began)
    began = time.perf_counter()
    listed = [item async for item in cold.alist({"configurable": {"thread_id": thread_id}}, limit=10)]
    history_ms = 1000 * (time.perf_counter() - began)
    assert len(listed) == 10
    await db.close()
    return {
        "case": f"grow, {words} words a turn",
        "turns": turns,
        "disk_mb": round((size(folder) - empty) / 1e6, 2),
        "bytes_per_turn": round((size(folder) - empty) / turns),
        "turn_cpu_ms": marks,
        "cold_read_ms": round(cold_ms, 1),
        "history_of_10_ms": round(history_ms, 1),
        "report": {key: report[key]["bytes"] for key in ("checkpoints", "channel_values", "pending_writes")},
    }


async def rate(make: Any, runs: int, at_once: int) -> float:
    """Runs per second, each on a thread of its own."""

    async def some(count: int) -> None:
        for _ in range(count):
            saver, finish = make()
            metadata = {"run_id": str(uuid.uuid4()), "graph_id": "echo", "assistant_id": str(uuid.uuid4())}
            config: Any = {"configurable": {"thread_id": str(uuid.uuid4())}, "metadata": metadata}
            graph = ECHO.copy()
            graph.checkpointer = saver
            await graph.ainvoke({"x": "a"}, config)
            await finish()

    await some(20)
    began = time.perf_counter()
    await asyncio.gather(*(some(runs // at_once) for _ in range(at_once)))
    return runs / (time.perf_counter() - began)


ECHO = echo_graph(None)


async def rates(runs: int, folder: Path) -> dict[str, Any]:
    db = SqliteDatabase(folder / "rate.sqlite")
    upgrade(db)
    ours, memory = Saver(db), InMemorySaver()

    async def nothing() -> None:
        return None

    def in_memory() -> Any:
        return memory, nothing

    def in_database() -> Any:
        run = ours.for_run(None)
        return run, run.flush

    result: dict[str, Any] = {"case": "1-step graph, runs/s"}
    for at_once in (1, 8):
        pairs = [(await rate(in_memory, runs, at_once), await rate(in_database, runs, at_once)) for _ in range(3)]
        best = max(pairs, key=lambda pair: pair[1])
        ratio = statistics.median(database / memory_ for memory_, database in pairs)
        result[f"at_once_{at_once}"] = {"memory": round(best[0]), "saver": round(best[1]), "ratio": round(ratio, 2)}
    await db.close()
    return result


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=600)
    options = parser.parse_args()
    for words in (40, 250):
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(await grow(options.turns, words, Path(folder))), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(await rates(options.runs, Path(folder))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
