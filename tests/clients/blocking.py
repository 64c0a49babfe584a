"""The synchronous SDK client behind the interface of the asynchronous one, so that one test drives both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from langgraph_sdk.client import SyncLangGraphClient, SyncThreadsClient

__all__ = ["Blocking"]

END = object()


class Blocking:
    """Awaitable calls of a `SyncLangGraphClient`, made on threads of their own."""

    def __init__(self, client: SyncLangGraphClient) -> None:
        self.assistants = _Part(client.assistants)
        self.threads = _Part(client.threads)
        self.runs = _Part(client.runs)
        self.store = _Part(client.store)


class _Part:
    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._part, name)
        if name == "join_stream" and isinstance(self._part, SyncThreadsClient):
            return partial(_awaited_steps, method)
        if name in ("stream", "join_stream"):
            return lambda *args, **options: _stepped(method(*args, **options))
        return partial(asyncio.to_thread, method)


async def _awaited_steps(method: Callable[..., Iterator[Any]], *args: Any, **options: Any) -> AsyncIterator[Any]:
    """The asynchronous client has this one method to be awaited for its iterator."""
    return _stepped(method(*args, **options))


async def _stepped(items: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await asyncio.to_thread(next, items, END)) is not END:
        yield item
