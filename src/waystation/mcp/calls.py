"""Calling a tool: a run on a thread of its own, and its result (spec 15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any, Protocol

from mcp_types import CallToolResult, TextContent
from starlette.exceptions import HTTPException
from starlette.requests import Request

from waystation.assistants import visible
from waystation.encoding import decode, encode
from waystation.errors import WaystationError
from waystation.http.errors import as_http_exception
from waystation.http.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, RpcError
from waystation.mcp.tools import WHOLE, arguments_schema, find
from waystation.runs.models import RunCreateStateless
from waystation.runs.starting import OWN, canceller, order_of, start_awaited, start_followed
from waystation.runs.waiting import ResultWaiter
from waystation.runs.watching import from_the_beginning
from waystation.streams.bus import EndWaiter, Subscription

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Client", "call_tool"]

INTERRUPT = "__interrupt__"
"""What stands in the place of a node that has stopped to ask."""

UNFINISHED = {
    "interrupted": "RunCancelled: the run was cancelled.",
    "rollback": "RunCancelled: the run was cancelled.",
    "timeout": "JobTimeout: the run took too long.",
}
"""Ends of a run that its result does not tell of."""

Steps = Callable[[float, str], Awaitable[None]]


class Client(Protocol):
    """Whoever calls."""

    request: Request
    on_step: Steps | None
    """Tells the caller how many nodes have finished, and which was the last; None when nobody listens."""

    def begun(self, cancel: Callable[[], Awaitable[None]]) -> None:
        """The run exists; `cancel` is to be called if the caller goes away."""


async def call_tool(client: Client, called: str, arguments: dict[str, Any], context: Any) -> CallToolResult:
    """Run the assistant whose tool is `called`. What goes wrong with the run is part of the result, so that a model sees it.

    Raises RpcError for a tool that there is not, and for a `context` that is no object."""
    if context is not None and not isinstance(context, Mapping):
        raise RpcError(INVALID_PARAMS, "context: must be an object.")
    try:
        assistant_id = await find(client.request, called)
        return await _run(client, assistant_id, arguments, context)
    except RpcError:
        raise
    except WaystationError as error:
        return _failed(str(as_http_exception(client.request, error).detail))
    except HTTPException as error:
        return _failed(str(error.detail))


async def _run(
    client: Client, assistant_id: str, arguments: dict[str, Any], context: Mapping[str, Any] | None
) -> CallToolResult:
    request, server = client.request, client.request.app.state.server
    body = RunCreateStateless.model_validate(
        {
            "assistant_id": assistant_id,
            "input": await _input(request, assistant_id, arguments),
            "context": None if context is None else dict(context),
            "stream_mode": "values" if client.on_step is None else "updates",
        }
    )
    order = order_of(request, body, None)
    with ExitStack() as resources:
        if client.on_step is None:
            waiting, waiter = await start_awaited(request, order, resources)
        else:
            waiter = resources.enter_context(server.bus.wait_for_end(order.run_id))
            subscription = await start_followed(request, order, resources)
            waiting = ResultWaiter(server, OWN, order.thread_id, order.run_id, waiter)
        cancel = canceller(request, OWN, order.thread_id, order.run_id)
        client.begun(cancel)
        if client.on_step is not None:
            await _tell(server, subscription, client.on_step)
        result = await _result(server, waiting, waiter)
        if result is None:
            await cancel()  # nobody will hear of it, and whoever calls again would have it twice
            raise RpcError(INTERNAL_ERROR, "The server is stopping; call again.")
        return result


async def _input(request: Request, assistant_id: str, arguments: dict[str, Any]) -> Any:
    """The run's input: the arguments, or the one that holds it."""
    row = await visible.read(request, assistant_id)
    if set(arguments) != {WHOLE}:
        return arguments
    schema = (await visible.schemas(request, row)).get("input_schema")
    return arguments if not isinstance(schema, dict) or arguments_schema(schema)[1] else arguments[WHOLE]


async def _tell(server: Server, subscription: Subscription, on_step: Steps) -> None:
    """Tell of each node that finishes, until the run is over."""
    follower = from_the_beginning(server, subscription, resumable=False)
    finished = 0
    async with aclosing(follower.batches()) as batches:
        async for events in batches:
            for event in events:
                if event.name == "updates":
                    for node in decode(event.data):
                        if node != INTERRUPT:
                            finished += 1
                            await on_step(finished, str(node))
            if any(event.end is not None for event in events):
                return


async def _result(server: Server, waiting: ResultWaiter, waiter: EndWaiter) -> CallToolResult | None:
    """The result of the run; None when the server stops before there is one."""
    while (result := await waiting.within(server.config.heartbeat_s)) is None:
        if server.bus.closed:
            return None
    end = await waiter.end(0)
    if end is not None and end.status in UNFINISHED:
        return _failed(UNFINISHED[end.status])
    value = decode(result)
    if isinstance(value, dict) and isinstance(error := value.get("__error__"), dict):
        return _failed(f"{error.get('error')}: {error.get('message')}")
    structured = value if isinstance(value, dict) else {"result": value}
    return CallToolResult(content=[TextContent(text=encode(value).decode())], structured_content=structured)


def _failed(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=message)], is_error=True)
