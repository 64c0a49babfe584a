"""The events of a task while it is worked on (spec 14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from waystation.a2a.states import Generation
from waystation.a2a.tasks import found, load
from waystation.a2a.wire import Task, View, artifact_update, artifacts_of, status_update, task_to_wire, text_of
from waystation.auth.access import Access
from waystation.encoding import decode, encode
from waystation.runs.watching import from_the_beginning
from waystation.server import Server
from waystation.streams.bus import Subscription
from waystation.streams.events import Event
from waystation.streams.sse import HEARTBEAT, raw_frame
from waystation.timestamps import now_us

__all__ = ["task_frames"]

Answer = Callable[[Any], dict[str, Any]]
"""Makes a JSON-RPC answer of a result."""

_WRAPPERS = {"task": "task", "status-update": "statusUpdate", "artifact-update": "artifactUpdate"}


async def task_frames(
    server: Server,
    access: Access,
    assistant_id: str,
    task: Task,
    view: View,
    answer: Answer,
    subscription: Subscription | None,
) -> AsyncGenerator[bytes, None]:
    """Frames of the task as it is now and of what becomes of it, until its run is over. Without a `subscription` (to that run) there
    is nothing more to come."""
    yield _frame(task_to_wire(task, view), view.generation, answer)
    if subscription is None:
        return
    follower = from_the_beginning(server, subscription, resumable=False)
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            if not events:
                yield HEARTBEAT
            for wire in _progress(task, events, view.generation):
                yield _frame(wire, view.generation, answer)
            if any(event.end is not None for event in events):
                break
        else:
            return  # the process goes away, or the client was too slow: it may subscribe anew
    ended = await load(server, access, await found(server, access, assistant_id, task.task_id))
    for artifact in artifacts_of(ended, view.generation):
        yield _frame(artifact_update(ended, artifact), view.generation, answer)
    yield _frame(status_update(ended, view.generation, final=True), view.generation, answer)


def _progress(task: Task, events: Iterable[Event], generation: Generation) -> Iterable[dict[str, Any]]:
    """What a batch of events tells: that the run has begun, and what the agent has said so far. Of several states of one message
    only the last is told."""
    working = replace(task, state="working", updated_at=now_us())
    said: dict[str, str] = {}
    begun = False
    for event in events:
        if event.name == "metadata":
            begun = True
        elif event.name in ("messages/partial", "messages/complete"):
            for message in decode(event.data):
                if message.get("type") == "ai" and (text := text_of(message.get("content"))):
                    said[str(message.get("id"))] = text
    if begun:
        yield status_update(working, generation, final=False)
    for message_id, text in said.items():
        yield status_update(working, generation, final=False, said=(message_id, text))


def _frame(wire: dict[str, Any], generation: Generation, answer: Answer) -> bytes:
    result = wire if generation == "legacy" else {_WRAPPERS[wire["kind"]]: wire}
    return raw_frame("message", encode(answer(result)))
