"""What the routes of OpenAI's Responses API do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from waystation.assistants import queries as assistants
from waystation.auth.access import EVERYTHING
from waystation.errors import NotFound
from waystation.http.bodies import read_body
from waystation.http.parameters import flag, integer
from waystation.http.responses import json_response
from waystation.responses.catalogue import model_of, models, takes_messages, wire_model
from waystation.responses.errors import Refused
from waystation.responses.items import input_items
from waystation.responses.models import ResponseCreate
from waystation.responses.response import Subject
from waystation.responses.running import begun, followed, followed_again, waited
from waystation.responses.starting import Start
from waystation.responses.stored import find, outcome_of
from waystation.runs import queries as runs
from waystation.threads.deletion import delete_thread
from waystation.threads.refresh import refresh_state

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = [
    "cancel_response",
    "create_response",
    "delete_response",
    "get_model",
    "get_response",
    "list_input_items",
    "list_models",
]

PAGE = 20
LONGEST_PAGE = 100
"""Input items on a page, if the client does not say, and at most."""


async def create_response(request: Request) -> Response:
    """The response, or its events."""
    given = await read_body(request, ResponseCreate)
    start = await Start.of(request, given)
    if given.stream:
        return await followed(request, start)
    return await begun(start) if given.background else await waited(request, start)


async def get_response(request: Request, response: str) -> Response:
    """A response that is stored, or its events."""
    run, access = await find(request, response)
    if not flag(request, "stream"):
        return json_response(Subject.of(run).response(await outcome_of(request, access, run)))
    return await followed_again(request, run, integer(request, "starting_after"))


async def cancel_response(request: Request, response: str) -> Response:
    """The response, cancelled unless it was over."""
    run, access = await find(request, response, "cancel")
    server: Server = request.app.state.server
    with contextlib.suppress(NotFound):  # it may be over already
        await server.engine.cancel(access, run.thread_id, run.run_id, "interrupt")
    run, access = await find(request, response)
    return json_response(Subject.of(run).response(await outcome_of(request, access, run)))


async def delete_response(request: Request, response: str) -> Response:
    """Word that the response is deleted, with its conversation if there is nothing else in that."""
    run, access = await find(request, response, "delete")
    server: Server = request.app.state.server
    others = await server.db.read(runs.list_runs, run.thread_id, access, limit=2, offset=0, status=None)
    if len(others) == 1:  # nothing of the conversation is to remain
        await delete_thread(server, access, run.thread_id)
    elif await server.engine.delete(access, run.thread_id, run.run_id) == "settled":
        await refresh_state(server, run.thread_id)
    return json_response({"id": response, "object": "response", "deleted": True})


async def list_input_items(request: Request, response: str) -> Response:
    """A page of what the response was given."""
    run, _ = await find(request, response)
    order, after = request.query_params.get("order", "desc"), request.query_params.get("after")
    if order not in ("asc", "desc"):
        raise Refused("Invalid value: 'order' must be 'asc' or 'desc'.", "order")
    limit = integer(request, "limit") or PAGE
    if not 1 <= limit <= LONGEST_PAGE:
        raise Refused(f"Invalid value: 'limit' must be between 1 and {LONGEST_PAGE}.", "limit")
    items = input_items(Subject.of(run).asked.get("input"), response)
    if order == "desc":
        items.reverse()
    if after is not None:
        known = [item["id"] for item in items]
        items = items[known.index(after) + 1 :] if after in known else []
    page = items[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return json_response({"object": "list", "data": page, **ends, "has_more": len(items) > limit})


async def list_models(request: Request) -> Response:
    """The assistants that take messages."""
    return json_response({"object": "list", "data": await models(request)})


async def get_model(request: Request, model: str) -> Response:
    """An assistant that takes messages."""
    assistant = await model_of(request, model)
    await takes_messages(request, assistant)
    row = await request.app.state.server.db.read(assistants.get, assistant.assistant_id, EVERYTHING)
    return json_response(wire_model(model, row))
