"""Responses that are stored: runs, and the checkpoints that they have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Row
from starlette.requests import Request

from waystation.auth.access import EVERYTHING, Access
from waystation.encoding import to_plain
from waystation.http.authorization import allowed
from waystation.http.configurable import server_configurable
from waystation.messages.content import Message, conversation_of
from waystation.responses.errors import ResponseNotFound
from waystation.responses.ids import BREAKPOINT, run_id_of
from waystation.responses.items import after, interrupt_item, items_of, usage_of
from waystation.responses.response import Outcome, Subject, failed
from waystation.runs import queries
from waystation.runs.starting import cancel_allowed
from waystation.threads.current import current
from waystation.threads.history import history

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["State", "find", "outcome_of", "rested", "state_of"]

Run = Row[*tuple[Any, ...]]


class State(Struct, frozen=True):
    """What a run, or a thread, has come to."""

    messages: Sequence[Message] = ()
    interrupts: Sequence[Mapping[str, Any]] = ()
    """What has to be answered before it goes on: ``{id, value}``."""
    checkpoint_id: str | None = None


async def find(request: Request, called: str, action: str = "read") -> tuple[Run, Access]:
    """The run of a response, and the caller's access to do this with it: ``read``, ``cancel`` or ``delete``. Raises
    ResponseNotFound, and what `allowed` raises."""
    db = request.app.state.server.db
    run_id = run_id_of(called)
    there = None if run_id is None else await db.lookup(queries.find_run, None, run_id, EVERYTHING)
    if run_id is None or there is None:
        raise ResponseNotFound(called)
    asked = {"thread_id": there.thread_id, "run_id": run_id}
    if action == "cancel":
        access = await cancel_allowed(request, "interrupt", asked)
    else:
        access = await allowed(request, "threads", action, asked)
    run = await db.lookup(queries.find_run, there.thread_id, run_id, access)
    if run is None:
        raise ResponseNotFound(called)
    return run, access


async def state_of(request: Request, access: Access, thread_id: str, run_id: str | None, *, paused: bool) -> State:
    """What the run has left behind, or the thread's newest state. One that was not `paused` by its graph waits for nothing."""
    found = await history(
        request.app.state.server,
        access,
        thread_id,
        1,
        metadata=None if run_id is None else {"run_id": run_id},
        configurable=server_configurable(request),
    )
    if not found:
        return State()
    plain = to_plain({name: found[0][name] for name in ("values", "interrupts", "next", "checkpoint_id")})
    interrupts = plain["interrupts"] if paused else []
    if paused and not interrupts and plain["next"]:
        interrupts = [{"id": BREAKPOINT, "value": {"next": plain["next"]}}]
    return State(conversation_of(plain["values"]), interrupts, plain["checkpoint_id"])


async def outcome_of(request: Request, access: Access, run: Run) -> Outcome:
    """How far the response is."""
    if run.settled_at is None:
        return Outcome({"pending": "queued", "interrupted": "cancelled"}.get(run.status, "in_progress"))
    subject = Subject.of(run)
    state = await state_of(request, access, run.thread_id, run.run_id, paused=run.status == "success")
    outcome = rested(subject, state)
    if run.status == "success":
        return outcome
    if run.status == "interrupted":
        return replace(outcome, status="cancelled")
    if run.status == "timeout":
        return replace(
            failed({"error": "timeout", "message": "the run took too long"}, outcome.output), usage=outcome.usage
        )
    server: Server = request.app.state.server
    thread = await server.db.lookup(current, run.thread_id, access)
    error = thread.error if thread is not None and thread.status == "error" else None
    return replace(failed(error, outcome.output), usage=outcome.usage)


def rested(subject: Subject, state: State) -> Outcome:
    """The outcome of a run that has come to rest in `state`."""
    said = after(state.messages, subject.asked.get("anchor"))
    items = items_of(said, subject.functions, state.messages, paused=bool(state.interrupts))
    items += [interrupt_item(each) for each in state.interrupts]
    if state.interrupts:
        return Outcome("incomplete", items, incomplete="interrupt", usage=usage_of(said))
    return Outcome("completed", items, usage=usage_of(said))
