"""Stores of a project, given in every way that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langgraph.store.base import BaseStore, Op, Result
from langgraph.store.memory import InMemoryStore

SECRET = "the password of the store"

events: list[str] = []


class Own(InMemoryStore):
    """LangGraph's store, which fails where the key is ``fail``."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        ops = list(ops)
        if any(getattr(op, "key", None) == "fail" or getattr(op, "query", None) == "fail" for op in ops):
            raise ConnectionError(SECRET)
        return await super().abatch(ops)


class Synchronous(BaseStore):
    def __init__(self) -> None:
        self._store = InMemoryStore()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self._store.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        raise NotImplementedError


instance = Own()
synchronous = Synchronous()
number = 7


def factory() -> BaseStore:
    return Own()


async def async_factory() -> BaseStore:
    return Own()


@contextmanager
def context() -> Iterator[BaseStore]:
    events.append("opened")
    yield Own()
    events.append("closed")


@asynccontextmanager
async def async_context() -> AsyncIterator[BaseStore]:
    events.append("opened")
    yield Own()
    events.append("closed")


def failing() -> Any:
    raise ConnectionError("nobody there")


def nothing() -> None:
    return None
