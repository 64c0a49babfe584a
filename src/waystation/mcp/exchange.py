"""One MCP request and its answer, over the library's own dispatch of a single request.

The library's HTTP layer is not used: it wants a task group for the life of the server and its imports at the start, refuses
clients that accept only JSON, and answers in other words than the reference (spec 15). What a method takes and gives in each
revision of the protocol, and which revision is spoken, is the library's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import anyio
import structlog
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_one
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data, progress_token_from_params
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    DEFAULT_NEGOTIATED_VERSION,
    HEADER_MISMATCH,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation import __version__
from waystation.encoding import encode
from waystation.errors import WaystationError
from waystation.http.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, Call, RpcError, failure, success
from waystation.http.responses import json_response
from waystation.mcp.calls import call_tool
from waystation.mcp.tools import list_page
from waystation.runs.waiting import KEEP_ALIVE
from waystation.streams.response import StreamResponse
from waystation.streams.sse import HEADERS as SSE_HEADERS
from waystation.streams.sse import HEARTBEAT, raw_frame

__all__ = ["answer"]

log = structlog.get_logger("waystation.mcp")

JSON_HEADERS = {"content-type": "application/json"}


async def answer(request: Request, call: Call, *, streams: bool) -> Response:
    """The answer to a request; `streams` says whether the client takes an event stream. Errors of the protocol are JSON-RPC errors
    with status 200, and since revision 2026-07-28 with the status that this assigns them."""
    modern = False
    version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER)
    try:
        connection, modern = _connection(request, call, version)
        exchange = _Exchange(request, call, connection, streams=streams)
        return await exchange.response(modern=modern)
    except RpcError as error:
        modern = modern or (version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS)
        return json_response(failure(call.id, error), _status(error) if modern else 200)


def _connection(request: Request, call: Call, version: str | None) -> tuple[Connection, bool]:
    """Who calls, in which revision, and whether that has no handshake. Raises RpcError for one that is not spoken."""
    if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
        return Connection.from_envelope(version or DEFAULT_NEGOTIATED_VERSION, None, None), False
    if (twice := find_duplicated_routing_header(request.headers.items())) is not None:
        raise RpcError(HEADER_MISMATCH, f"The header {twice} appears more than once.")
    verdict = classify_inbound_request(
        {"method": call.method, "params": call.params}, headers=dict(request.headers.items())
    )
    if isinstance(verdict, InboundLadderRejection):
        raise RpcError(verdict.code, verdict.message, verdict.data)
    return (
        Connection.from_envelope(verdict.protocol_version, verdict.client_info, verdict.client_capabilities),
        True,
    )


def _status(error: RpcError) -> int:
    return ERROR_CODE_HTTP_STATUS.get(error.code, 200)


class _Exchange:
    """A request that is being answered. To the library it is the channel to the client (`DispatchContext`), to `call_tool` the
    client."""

    can_send_request = False
    message_metadata = None

    def __init__(self, request: Request, call: Call, connection: Connection, *, streams: bool) -> None:
        self.request = request
        self.request_id = call.id
        self.transport = TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers)
        self.cancel_requested = anyio.Event()
        self.on_step: Callable[[float, str], Awaitable[None]] | None = None
        self._method = call.method or ""
        self._params = _tolerated(call.params)
        self._connection = connection
        self._token = progress_token_from_params(self._params)
        self._streams = streams and self._token is not None
        if self._streams:
            self.on_step = self._report
        self._news = asyncio.Event()
        self._frames: list[bytes] = []
        self._begun = False
        self._cancel: Callable[[], Awaitable[None]] | None = None

    # --- for the route

    async def response(self, *, modern: bool) -> Response:
        """The answer. One that comes before any run exists has a status of its own, another begins at once, so that it is noticed
        when the client goes away: that is how a call is cancelled."""
        serving = asyncio.create_task(self._serve(), name="waystation-mcp-call")
        serving.add_done_callback(lambda _: self._news.set())
        try:
            while not self._begun and not serving.done():
                self._news.clear()
                if not self._begun and not serving.done():
                    await self._news.wait()
        except asyncio.CancelledError:
            serving.cancel()
            raise
        if serving.done():
            result = serving.result()
            status = _status(result) if modern and isinstance(result, RpcError) else 200
            return json_response(self._reply(result), status)
        headers = SSE_HEADERS if self._streams else JSON_HEADERS
        return StreamResponse(self._pieces(serving), headers, self._cancel)

    async def _pieces(self, serving: asyncio.Task[dict[str, Any] | RpcError]) -> AsyncGenerator[bytes, None]:
        """Signs of life and of progress, then the answer."""
        beat_s = self.request.app.state.server.config.heartbeat_s
        alive = HEARTBEAT if self._streams else KEEP_ALIVE
        try:
            while not serving.done():
                self._news.clear()
                if not self._frames and not serving.done():
                    try:
                        async with asyncio.timeout(beat_s):
                            await self._news.wait()
                    except TimeoutError:
                        yield alive
                if self._frames:
                    frames, self._frames = self._frames, []
                    yield b"".join(frames)
            reply = encode(self._reply(self._outcome(serving)))
            yield b"".join((*self._frames, raw_frame("message", reply))) if self._streams else reply
        finally:
            serving.cancel()

    def _outcome(self, serving: asyncio.Task[dict[str, Any] | RpcError]) -> dict[str, Any] | RpcError:
        try:
            return serving.result()
        except Exception:
            log.exception("an MCP request failed", method=self._method)
            return RpcError(INTERNAL_ERROR, "Internal error")

    def _reply(self, result: dict[str, Any] | RpcError) -> dict[str, Any]:
        return failure(self.request_id, result) if isinstance(result, RpcError) else success(self.request_id, result)

    async def _serve(self) -> dict[str, Any] | RpcError:
        """The result, or what the client did wrong. Raises the errors of other parts of the server."""
        try:
            return await serve_one(
                _SERVER, self, self._method, self._params, connection=self._connection, lifespan_state=self
            )
        except RpcError as error:
            return error
        except (WaystationError, HTTPException):
            raise
        except Exception as error:
            known = handler_exception_to_error_data(error)
            if known is None:
                raise
            return RpcError(known.code, known.message, known.data)

    # --- for call_tool

    def begun(self, cancel: Callable[[], Awaitable[None]]) -> None:
        self._cancel = cancel
        self._begun = True
        self._news.set()

    async def _report(self, finished: float, node: str) -> None:
        await self.progress(finished, message=node)

    # --- for the library

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if self._streams:
            message = {"jsonrpc": "2.0", "method": method, "params": dict(params or {})}
            self._frames.append(raw_frame("message", encode(message)))
            self._news.set()

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        told = {"progressToken": self._token, "progress": progress, "total": total, "message": message}
        await self.notify("notifications/progress", {key: value for key, value in told.items() if value is not None})


def _tolerated(params: Any) -> Any:
    """`params` with the cursor as text: older servers gave numbers (spec 15)."""
    cursor = params.get("cursor") if isinstance(params, Mapping) else None
    if isinstance(cursor, int) and not isinstance(cursor, bool):
        return {**params, "cursor": str(cursor)}
    return params


async def _list_tools(ctx: ServerRequestContext[_Exchange], params: PaginatedRequestParams | None) -> ListToolsResult:
    cursor = "0" if params is None or params.cursor is None else params.cursor
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise RpcError(INVALID_PARAMS, f"Invalid cursor {cursor[:40]!r}: give the nextCursor of another page.")
    tools, following = await list_page(ctx.lifespan_context.request, int(cursor))
    return ListToolsResult(tools=tools, next_cursor=None if following is None else str(following))


async def _call_tool(ctx: ServerRequestContext[_Exchange], params: CallToolRequestParams) -> CallToolResult:
    given = ctx.params if isinstance(ctx.params, Mapping) else {}
    return await call_tool(ctx.lifespan_context, params.name, params.arguments or {}, given.get("context"))


_SERVER: Server[_Exchange] = Server(
    "Waystation", version=__version__, on_list_tools=_list_tools, on_call_tool=_call_tool
)
"""What the library knows of this server: the handlers of methods, and nothing that changes."""
