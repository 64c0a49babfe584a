"""HTTP routes of A2A: JSON-RPC 2.0, and agent cards (spec 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from waystation.a2a.cards import card_of
from waystation.a2a.errors import invalid, version_not_supported
from waystation.assistants import assistant_id_of, visible
from waystation.errors import BadInput, NotFound, UnprocessableInput
from waystation.http.bodies import Body, describe, read_bytes
from waystation.http.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, Call, RpcError, failure, parse
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response
from waystation.http.router import Router

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["router"]

router = Router(tags=["A2A"])

VERSION_HEADER = "a2a-version"
VERSIONS = ("0", "1")
"""The major versions that are spoken."""

_ACCEPT = {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}}
_ASSISTANT = {"name": "assistant_id", "in": "query", "schema": {"type": "string", "format": "uuid"}}
_OBJECT = {"type": "object"}


class A2ACall(Body):
    """A JSON-RPC 2.0 request of A2A."""

    jsonrpc: str
    id: str | int
    method: str
    params: dict[str, Any] | None = None


@router.post("/a2a/{assistant_id}", **operation("Talk to an assistant by A2A", A2ACall, _OBJECT, parameters=[_ACCEPT]))
async def post_a2a(request: Request, assistant_id: str) -> Response:
    from waystation.a2a.methods import METHODS, Asked  # when the first client comes: the models take time

    call: Call | None = None
    try:
        call = parse(await read_bytes(request))
        method = METHODS.get(call.method or "")
        if (refused := _not_accepted(request, streams=method is not None and method.streams)) is not None:
            return refused
        if call.is_notification:
            return empty(202)  # no method of A2A is for its effect alone
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"There is no method {(call.method or '')[:100]!r}.")
        _require_version(request)
        assistant = await _assistant(request, assistant_id)
        asked = Asked(request, call.id, method.generation, assistant)
        return await method.handler(asked, _params(call, method.params))
    except RpcError as error:
        return json_response(failure(None if call is None else call.id, error))
    except (BadInput, UnprocessableInput, NotFound) as error:
        return json_response(failure(None if call is None else call.id, RpcError(INVALID_PARAMS, error.message)))


router.post("/a2a/{assistant_id}/")(post_a2a)


@router.get("/.well-known/agent-card.json", **operation("The agent card", answer=_OBJECT, parameters=[_ASSISTANT]))
async def get_default_agent_card(request: Request) -> Response:
    server: Server = request.app.state.server
    chosen = request.query_params.get("assistant_id") or server.config.a2a_assistant_id
    if chosen is None:
        error = invalid("Name the assistant: ?assistant_id=, or DEFAULT_A2A_ASSISTANT_ID on the server.")
        return _bad_card(error)
    return await _card(request, chosen)


@router.get("/a2a/{assistant_id}/.well-known/agent-card.json", **operation("An assistant's card", answer=_OBJECT))
async def get_agent_card(request: Request, assistant_id: str) -> Response:
    return await _card(request, assistant_id)


for _path in ("/a2a/{assistant_id}", "/a2a/{assistant_id}/", "/a2a/{assistant_id}/.well-known/agent.json"):
    router.get(_path)(get_agent_card)


async def _card(request: Request, assistant_id: str) -> Response:
    try:
        return json_response(card_of(request, await _assistant(request, assistant_id)))
    except RpcError as error:
        return _bad_card(error)


def _bad_card(error: RpcError) -> Response:
    return json_response({"error": {"code": error.code, "message": error.message}}, 400)


async def _assistant(request: Request, assistant_id: str) -> dict[str, Any]:
    """The row of the assistant. Raises RpcError for one that the caller does not see."""
    server: Server = request.app.state.server
    try:
        return await visible.read(request, assistant_id_of(assistant_id, server.graphs))
    except (NotFound, UnprocessableInput) as error:
        raise invalid(error.message) from None


def _params(call: Call, model: type[Body]) -> Body:
    try:
        return model.model_validate({} if call.params is None else call.params)
    except ValidationError as error:
        raise invalid(describe(error)) from None


def _not_accepted(request: Request, *, streams: bool) -> Response | None:
    """The refusal of a client that does not accept what it would get (spec 14)."""
    wanted = "text/event-stream" if streams else "application/json"
    offered = [each.split(";", 1)[0].strip().lower() for each in request.headers.get("accept", "").split(",")]
    if wanted in offered or "*/*" in offered or f"{wanted.split('/')[0]}/*" in offered:
        return None
    return json_response({"error": f"Accept must contain {wanted}."}, 400)


def _require_version(request: Request) -> None:
    version = request.headers.get(VERSION_HEADER, "1.0")
    if version.split(".", 1)[0] not in VERSIONS:
        raise version_not_supported(version)
