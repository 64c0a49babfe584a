"""HTTP routes of agents' runs (MDA 11), relative to the base path. They are the Agent Server's runs, of one's own threads."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from waystation.auth.access import Access
from waystation.deepagents.bodies import read_agent_body
from waystation.deepagents.errors import InvalidBody
from waystation.deepagents.runs.models import AgentRun, AgentRunOnNewThread, Resolution, run_of
from waystation.deepagents.runs.starting import Start
from waystation.deepagents.threads.calls import ThreadCall, thread_uuid
from waystation.deepagents.threads.models import NewThread
from waystation.deepagents.threads.queries import find
from waystation.errors import Conflict, NotFound, UnprocessableInput
from waystation.http.bodies import require_uuid
from waystation.http.configurable import server_configurable
from waystation.http.openapi import operation
from waystation.http.responses import empty
from waystation.http.router import Router
from waystation.runs import answers, lifecycle
from waystation.runs.wire import SCHEMA as RUN
from waystation.threads import state_answers
from waystation.threads.snapshot import SCHEMA as STATE
from waystation.threads.state import update_state

__all__ = ["router"]

router = Router(tags=["Managed Deep Agents"])

_RUNS = {"type": "array", "items": RUN}
_STATES = {"type": "array", "items": STATE}

END = "__end__"


# --- starting


@router.post("/threads/{thread_id}/runs", **operation("Run an agent", AgentRun, RUN))
async def create_agent_run(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    body = await read_agent_body(request, AgentRun)
    start = await Start.on(request, run_of(body, speaks=False), thread_id, body.user_timezone)
    return await answers.created(start.order, start.store, base=_base(request))


@router.post(
    "/threads/{thread_id}/runs/stream", **operation("Run an agent and stream its events", AgentRun, streams=True)
)
async def stream_agent_run(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    body = await read_agent_body(request, AgentRun)
    if body.assistant_id is not None:
        raise InvalidBody("send 'agent_id' in place of 'assistant_id'")
    start = await Start.on(request, run_of(body, speaks=True), thread_id, body.user_timezone)
    return await answers.streamed(request, start.order, start.store, start.run, base=_base(request))


@router.post("/threads/runs", **operation("Run an agent on a new thread", AgentRunOnNewThread, RUN))
async def create_agent_thread_and_run(request: Request) -> Response:
    body = await read_agent_body(request, AgentRunOnNewThread)
    run = run_of(body, speaks=True)
    start = await Start.on_new(request, run, body.thread or NewThread(), body.user_timezone)
    return await answers.created(start.order, start.store, base=_base(request))


@router.post("/threads/{thread_id}/resolve-interrupt", **operation("End a pause", Resolution, status=204))
async def resolve_interrupt(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    body = await read_agent_body(request, Resolution, required=False)
    call = await ThreadCall.of(request, "update", {"thread_id": thread_id})
    thread = await call.server.db.read(find, thread_id, call.access)
    if thread.status != "interrupted":
        raise Conflict("wait until the thread has paused: there is nothing to resolve on it")
    if body.decisions is not None:
        resume = {"command": {"resume": {"decisions": body.decisions}}}
        run = AgentRun.model_validate({"agent_id": thread.agent_id, **resume})
        start = await Start.on(request, run_of(run, speaks=False), thread_id)
        await start.store(start.order)
        return empty()
    within = await _within(request, thread_id)
    ending = {"values": None, "as_node": END}
    await update_state(
        call.server, within, thread_id, ending, server_configurable(request), require=lifecycle.require_paused
    )
    return empty()


# --- what the API that this follows does not have


@router.get("/threads/{thread_id}/state", **operation("Get the state of an agent's thread", answer=STATE))
async def get_agent_thread_state(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    return await state_answers.newest_state(request, thread_id, await _within(request, thread_id))


@router.get("/threads/{thread_id}/history", **operation("List past states of an agent's thread", answer=_STATES))
async def get_agent_thread_history(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    return await state_answers.page_of_history(request, thread_id, await _within(request, thread_id))


@router.get("/threads/{thread_id}/runs", **operation("List the runs of an agent's thread", answer=_RUNS))
async def list_agent_runs(request: Request, thread_id: str) -> Response:
    thread_id = thread_uuid(thread_id)
    return await answers.runs_of_thread(request, thread_id, await _within(request, thread_id))


@router.get("/threads/{thread_id}/runs/{run_id}", **operation("Get a run of an agent", answer=RUN))
async def get_agent_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id, within = await _run(request, thread_id, run_id)
    return await answers.found_run(request, thread_id, run_id, within)


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", **operation("Cancel a run of an agent"))
async def cancel_agent_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id, within = await _run(request, thread_id, run_id)
    return await answers.cancelled(request, thread_id, run_id, within, _base(request))


@router.get("/threads/{thread_id}/runs/{run_id}/join", **operation("Wait for the result of an agent's run"))
async def join_agent_run(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id, within = await _run(request, thread_id, run_id)
    return await answers.joined_result(request, thread_id, run_id, within, _base(request))


@router.get("/threads/{thread_id}/runs/{run_id}/stream", **operation("Join the events of an agent's run", streams=True))
async def join_agent_run_stream(request: Request, thread_id: str, run_id: str) -> Response:
    thread_id, run_id, within = await _run(request, thread_id, run_id)
    return await answers.joined_stream(request, within, thread_id, run_id, within, _base(request))


async def _run(request: Request, thread_id: str, run_id: str) -> tuple[str, str, Access]:
    thread_id = thread_uuid(thread_id)
    try:
        run_id = require_uuid(run_id, "run_id")
    except UnprocessableInput:
        raise NotFound("check the run's id: the thread has no such run") from None
    return thread_id, run_id, await _within(request, thread_id)


async def _within(request: Request, thread_id: str) -> Access:
    """The caller's access to its own threads of agents, this one among them. Raises ThreadNotFound."""
    call = await ThreadCall.of(request, "read", {"thread_id": thread_id})
    await call.server.db.read(find, thread_id, call.access)
    return call.access


def _base(request: Request) -> str:
    """The path that the request has the API at."""
    path: str = request.scope["path"]
    return path[: path.index("/threads/")]
