"""HTTP routes of MCP (spec 15): requests and answers only, no sessions."""

from __future__ import annotations

import asyncio
from importlib import import_module

from starlette.requests import Request
from starlette.responses import Response

from waystation.http.bodies import Body, read_bytes
from waystation.http.jsonrpc import RpcError, parse
from waystation.http.openapi import operation
from waystation.http.responses import empty, json_response
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["MCP"])

JSON, EVENT_STREAM = "application/json", "text/event-stream"

_MESSAGE = {"type": "object"}


class MCPMessage(Body):
    """A JSON-RPC 2.0 message of MCP."""


_ACCEPT = {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}}


@router.post("/mcp")
async def send_message(request: Request) -> Response:
    """The answer to one message, or nothing for one that wants none."""
    accept = request.headers.get("accept", "").lower()
    if JSON not in accept and EVENT_STREAM not in accept:
        return _refused(f"Accept must contain {JSON} or {EVENT_STREAM}.")
    try:
        call = parse(await read_bytes(request))
    except RpcError as error:
        return _refused(error.message)
    if call.is_notification:
        return empty(202)  # nothing is kept between two requests that one could be about
    # What needs the library is imported when it is needed, in a thread, so that others are served meanwhile.
    exchange = await asyncio.to_thread(import_module, "waystation.mcp.exchange")
    answer: Response = await exchange.answer(request, call, streams=EVENT_STREAM in accept)
    return answer


@router.get("/mcp")
async def no_stream(request: Request) -> Response:
    return empty(405, {"Allow": "POST"})


@router.delete("/mcp")
async def no_session(request: Request) -> Response:
    return empty(404)


@router.post("/mcp/", **operation("Send an MCP message", MCPMessage, _MESSAGE, parameters=[_ACCEPT]))
async def post_mcp(request: Request) -> Response:
    return _to_the_path_in_use(request)


@router.get("/mcp/", **operation("There is no stream of messages from the server", status=405))
async def get_mcp(request: Request) -> Response:
    return _to_the_path_in_use(request)


@router.delete("/mcp/", **operation("There are no sessions to end", status=404))
async def delete_mcp(request: Request) -> Response:
    return _to_the_path_in_use(request)


def _to_the_path_in_use(request: Request) -> Response:
    """The contract has a path that leads to the one that clients use (spec 15)."""
    path = request.url.path.removesuffix("/")
    return empty(307, {"Location": f"{path}?{request.url.query}" if request.url.query else path})


def _refused(message: str) -> Response:
    return json_response({"error": message}, 400)
