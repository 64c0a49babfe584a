"""Asking a project's ``on.*`` handlers (spec 18.4)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_sdk import Auth
from langgraph_sdk.auth.exceptions import HTTPException as SdkHTTPException
from langgraph_sdk.auth.types import AuthContext
from starlette.exceptions import HTTPException

from waystation.auth import filters
from waystation.auth.access import Resource
from waystation.auth.filters import Filter, InvalidFilter
from waystation.errors import HandlerFailed

__all__ = ["ACTIONS", "Handlers", "call", "refusal"]

ACTIONS: Mapping[Resource, tuple[str, ...]] = {
    "threads": ("create", "create_run", "read", "update", "delete", "search"),
    "assistants": ("create", "read", "update", "delete", "search"),
    "crons": ("create", "read", "update", "delete", "search"),
    "store": ("put", "get", "search", "delete", "list_namespaces"),
}

LEAST_REFUSAL = 400
"""A handler that raises an HTTPException with a lower status has refused all the same, and made a mistake."""


class Handlers:
    """The handlers of an `Auth` object."""

    def __init__(self, auth: Auth) -> None:
        self._by_event = {event: handlers[-1] for event, handlers in auth._handlers.items() if handlers}
        if auth._global_handlers:
            self._by_event["*", "*"] = auth._global_handlers[-1]

    def __bool__(self) -> bool:
        return bool(self._by_event)

    def find(self, resource: Resource, action: str) -> Any:
        """The one handler for an event: the most specific there is. None means that the event is allowed."""
        for event in ((resource, action), (resource, "*"), ("*", action), ("*", "*")):
            if event in self._by_event:
                return self._by_event[event]
        return None

    def uncovered(self) -> list[str]:
        """The events without a handler, which everybody may cause."""
        return [f"{r}.{a}" for r, actions in ACTIONS.items() for a in actions if self.find(r, a) is None]

    async def ask(
        self, user: Any, permissions: Sequence[str], resource: Resource, action: str, value: dict[str, Any]
    ) -> Filter | None:
        """What limits the caller's request, None for nothing. The handler may change `value`.

        Raises Starlette's HTTPException for a refusal, HandlerFailed for whatever else the handler does."""
        handler = self.find(resource, action)
        if handler is None:
            return None
        context = AuthContext(
            user=user,
            permissions=list(permissions),
            resource=resource,
            action=action,  # type: ignore[arg-type]
        )
        event = f"{resource}.{action}"
        try:
            answer = await call(handler, ctx=context, value=value)
        except AssertionError as error:
            raise HTTPException(403, str(error) or "Forbidden") from error
        except SdkHTTPException as error:
            raise refusal(error) from error
        except HTTPException:
            raise
        except Exception as error:
            raise HandlerFailed(f"The authorization handler for {event} failed.") from error
        return _judged(event, answer)


def _judged(event: str, answer: Any) -> Filter | None:
    if answer is None or answer is True:
        return None
    if answer is False:
        raise HTTPException(403, "Forbidden")
    if not isinstance(answer, Mapping):
        raise HandlerFailed(f"The authorization handler for {event} returned a {type(answer).__name__}.")
    try:
        return filters.parse(answer)
    except InvalidFilter as error:
        raise HandlerFailed(f"The authorization handler for {event} returned no valid filter: {error}.") from error


async def call(handler: Any, **arguments: Any) -> Any:
    """The handler's answer. One that is not a coroutine function runs on a thread of its own, where it may block."""
    function = handler if inspect.isroutine(handler) else getattr(handler, "__call__", handler)  # noqa: B004
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await handler(**arguments)
    answer = await asyncio.to_thread(handler, **arguments)
    return await answer if inspect.isawaitable(answer) else answer


def refusal(error: SdkHTTPException) -> HTTPException:
    """The SDK's exception as Starlette's. Raises HandlerFailed for a status that would not refuse the request."""
    if error.status_code < LEAST_REFUSAL:
        raise HandlerFailed(f"A handler raised an HTTPException with the status {error.status_code}.") from error
    return HTTPException(error.status_code, error.detail, dict(error.headers) if error.headers else None)
