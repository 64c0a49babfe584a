"""From a thread's log to the frames of the protocol (spec 13.3).

Frames depend on nothing but the log and how its runs have ended, so that every process makes the same ones, live or replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Connection

from waystation.auth.access import EVERYTHING
from waystation.encoding import decode
from waystation.protocol.frames import LAST_PART, Frame, Namespace, make_frame, saying
from waystation.protocol.messages import shown_state
from waystation.protocol.subgraphs import Subgraphs
from waystation.runs import queries as run_queries
from waystation.storage.database import Database
from waystation.streams import queries
from waystation.streams.events import PROTOCOL_ONLY, Event, event_id
from waystation.streams.thread_stream import STATE_UPDATE

__all__ = ["RunOnTape", "Tape"]

INTERRUPTS = "__interrupt__"

MESSAGES = PROTOCOL_ONLY + "messages"

TOKEN = b'{"data":{"event":"content-block-delta"'
"""How an event begins that continues a message, which most events do."""


class RunOnTape(Struct):
    """What is known of a run while its events pass."""

    run_id: str
    graph_name: str | None
    position: int = 0
    """Of its newest event."""
    status: str = "running"
    error: str | None = None
    stopped: bool = False
    """Whether it has stopped at an interrupt or a breakpoint."""
    requested: set[str] = field(default_factory=set)
    """Interrupts that were told of."""
    subgraphs: Subgraphs = field(default_factory=Subgraphs)
    messages: dict[str, tuple[Namespace, str | None]] = field(default_factory=dict)
    """Where those that have begun and not ended are: the namespace and the node."""


class Tape:
    """Turns the events of one thread into frames, in the order of the log."""

    def __init__(self, db: Database, thread_id: str) -> None:
        self._db = db
        self._thread_id = thread_id
        self.run: RunOnTape | None = None
        """The newest run that has said something."""

    async def frames(self, events: Iterable[Event]) -> list[Frame]:
        """The frames of the next events: of the log, or of the ends of runs."""
        frames: list[Frame] = []
        for event in events:
            if event.run_id is None:
                frames += self._edit(event)
                continue
            if self.run is None or self.run.run_id != event.run_id:
                frames += await self.close()
                self.run = RunOnTape(event.run_id, await self._db.lookup(_graph_of, event.run_id))
            run = self.run
            if event.end is not None:
                run.position = run.position or event.position
                status = event.end.status
                frames += self._end(run, await self._status(run.run_id) if status == "rollback" else status)
            elif run.status == "running":
                run.position = event.position
                frames += _Reading(run, event).frames()
        return frames

    @property
    def open_run(self) -> RunOnTape | None:
        """The newest run, if its end has not come yet."""
        return self.run if self.run is not None and self.run.status == "running" else None

    async def is_over(self, run: RunOnTape) -> bool:
        """Whether the database says that the run is over: then all that it has said is stored."""
        return run.run_id in await self._db.lookup(queries.over, [run.run_id])

    async def close(self) -> list[Frame]:
        """The frames of the end of the newest run, if the database says that it is over. All of its events must have passed."""
        run = self.open_run
        if run is None:
            return []
        over = await self._db.lookup(queries.over, [run.run_id])
        return list(self._end(run, over[run.run_id] or "rollback")) if run.run_id in over else []

    async def _status(self, run_id: str) -> str:
        """How a run ended of which it is only known that it did."""
        return (await self._db.lookup(queries.over, [run_id])).get(run_id) or "rollback"

    def _end(self, run: RunOnTape, status: str) -> Iterator[Frame]:
        if run.status != "running":
            return
        run.status = _final(run, status)
        data: dict[str, Any] = {"event": run.status}
        if run.graph_name is not None:
            data["graph_name"] = run.graph_name
        if run.status == "failed":
            data["error"] = run.error or ("The run took too long." if status == "timeout" else "The run failed.")
        below = [(each.namespace, each.shown()) for each in run.subgraphs.end(run.status)]
        ends = [*below, ((), data)]
        yield from _broken_off(run, before=len(ends))
        for number, (namespace, shown) in enumerate(ends, LAST_PART + 1 - len(ends)):
            yield _lifecycle(run, namespace, shown, number)

    def _edit(self, event: Event) -> Iterator[Frame]:
        """A state that was edited while no run went on."""
        if event.name == STATE_UPDATE:
            values = shown_state(decode(event.data)["state"]["values"])
            yield make_frame(event_id(event.position), event.position, 0, "values", "values", (), saying(values))


class _Reading:
    """One event of a run, and the frames it makes."""

    def __init__(self, run: RunOnTape, event: Event) -> None:
        self._run = run
        self._event = event
        self._count = 0
        self._plain = 0

    def frames(self) -> Iterator[Frame]:
        mode, *namespace = self._event.name.split("|")
        if mode == MESSAGES and self._event.data.startswith(TOKEN):
            yield self._token(tuple(namespace))
            return
        make = _MAKERS.get(mode)
        if make is not None:
            yield from make(self, tuple(namespace), decode(self._event.data))

    def _frame(
        self, channel: str, namespace: Namespace, data: Any, method: str | None = None, node: str | None = None
    ) -> Frame:
        position = self._event.position
        identity = event_id(position) if self._plain == 0 else f"{event_id(position)}.{self._plain}"
        self._plain += 1
        return make_frame(identity, position, self._part(), channel, method or channel, namespace, saying(data, node))

    def _token(self, namespace: Namespace) -> Frame:
        """A part of a message, which needs not be decoded to be shown."""
        position = self._event.position
        return make_frame(event_id(position), position, 0, "messages", "messages", namespace, self._event.data)

    def _part(self) -> int:
        self._count += 1
        return min(self._count - 1, LAST_PART - 1)

    def _lifecycle(self, namespace: Namespace, data: Mapping[str, Any], *, starts_run: bool = False) -> Frame:
        return _lifecycle(self._run, namespace, data, self._part(), starts_run=starts_run)

    # --- by event

    def _metadata(self, _: Namespace, data: Any) -> Iterator[Frame]:
        """An attempt of the run begins. If it is not the first, what the one before was saying is not said to the end."""
        self._run.stopped, self._run.error = False, None
        yield from _broken_off(self._run)
        shown = {"event": "running"}
        if self._run.graph_name is not None:
            shown["graph_name"] = self._run.graph_name
        if data.get("attempt", 1) == 1:
            yield self._lifecycle((), shown, starts_run=True)

    def _values(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        yield self._frame("values", namespace, shown_state(data))
        if isinstance(data, Mapping) and INTERRUPTS in data:
            yield from self._interrupts(namespace, data[INTERRUPTS])

    def _updates(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        for node, update in data.items():
            if node == INTERRUPTS:
                yield from self._interrupts(namespace, update)
            else:
                shown = {"node": node, "values": shown_state(update)}
                yield self._frame("updates", namespace, shown, node=node)

    def _interrupts(self, namespace: Namespace, interrupts: Any) -> Iterator[Frame]:
        """Each is asked once, in the namespace where it was raised, which comes first."""
        if not namespace:
            self._run.stopped = True
        for interrupt in interrupts or ():
            if interrupt["id"] not in self._run.requested:
                self._run.requested.add(interrupt["id"])
                asked = {"interrupt_id": interrupt["id"], "payload": interrupt.get("value")}
                yield self._frame("input", namespace, asked, "input.requested")

    def _checkpoints(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        metadata = data.get("metadata") or {}
        shown = {"id": data["config"]["configurable"]["checkpoint_id"]}
        if parent := ((data.get("parent_config") or {}).get("configurable") or {}).get("checkpoint_id"):
            shown["parent_id"] = parent
        yield self._frame(
            "checkpoints", namespace, {**shown, "step": metadata.get("step"), "source": metadata.get("source")}
        )

    def _tasks(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        ended = "result" in data
        if ended:
            yield self._frame("tasks", namespace, data)
        for subgraph in self._run.subgraphs.task(namespace, data):
            yield self._lifecycle(subgraph.namespace, subgraph.shown())
        if not ended:
            yield self._frame("tasks", namespace, data)

    def _custom(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        yield self._frame("custom", namespace, {"payload": data})

    def _projection(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        yield self._frame(f"custom:{data['data']['name']}", namespace, data["data"], "custom")

    def _messages(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        part = data["data"]
        if part["event"] == "message-start":
            self._run.messages[part["run_id"]] = namespace, data.get("node")
        elif part["event"] == "message-finish":
            self._run.messages.pop(part["run_id"], None)
        yield self._frame("messages", namespace, data["data"], node=data.get("node"))

    def _tools(self, namespace: Namespace, data: Any) -> Iterator[Frame]:
        yield self._frame("tools", namespace, data["data"])

    def _error(self, _: Namespace, data: Any) -> Iterator[Frame]:
        self._run.error = str(data.get("message") or data.get("error"))
        yield from ()


_MAKERS = {
    "metadata": _Reading._metadata,
    "values": _Reading._values,
    "updates": _Reading._updates,
    "checkpoints": _Reading._checkpoints,
    "tasks": _Reading._tasks,
    "custom": _Reading._custom,
    "error": _Reading._error,
    MESSAGES: _Reading._messages,
    PROTOCOL_ONLY + "tools": _Reading._tools,
    PROTOCOL_ONLY + "projection": _Reading._projection,
}


def _lifecycle(
    run: RunOnTape, namespace: Namespace, data: Mapping[str, Any], part: int, *, starts_run: bool = False
) -> Frame:
    """A frame that stands for no event of the log. Its id names the run and what has happened, which happens once."""
    identity = f"synth:{run.run_id}:lc|{'|'.join(namespace)}|{data['event']}"
    return make_frame(
        identity, run.position, part, "lifecycle", "lifecycle", namespace, saying(data), starts_run=starts_run
    )


def _broken_off(run: RunOnTape, before: int = 0) -> Iterator[Frame]:
    """The ends of messages that nobody will finish; `before` frames follow."""
    first = LAST_PART + 1 - before - len(run.messages)
    for part, (message, (namespace, node)) in enumerate(run.messages.items(), first):
        data = {"event": "error", "message": "The message was broken off.", "run_id": message}
        identity = f"synth:{run.run_id}:message|{message}|error"
        yield make_frame(identity, run.position, part, "messages", "messages", namespace, saying(data, node))
    run.messages.clear()


def _final(run: RunOnTape, status: str) -> str:
    if status == "success":
        return "interrupted" if run.stopped else "completed"
    return "failed" if status in ("error", "timeout") else "interrupted"


def _graph_of(conn: Connection, run_id: str) -> str | None:
    run = run_queries.find_run(conn, None, run_id, EVERYTHING)
    return None if run is None else str(run.graph_id)
