"""A store of the project's own, which ``store.path`` of ``langgraph.json`` names and which replaces the built-in one (spec 19).

It is asked on one event loop of its own, whoever asks: most stores keep connections that belong to the loop they were made on, and
graphs run on others.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.store.base import BaseStore, Op, PutOp, Result, SearchOp

from waystation.auth import filters
from waystation.auth.access import EVERYTHING, Access
from waystation.encoding import to_plain
from waystation.errors import BadInput, ConfigError, StoreFailed, WaystationError
from waystation.own_loop import OwnLoop
from waystation.storage.tables import store_items
from waystation.store.rooted import inner, outer

if TYPE_CHECKING:
    from waystation.graphs.modules import Modules

__all__ = ["CustomStore", "open_custom_store"]

log = structlog.get_logger("waystation.store")

PAGE = 100
"""Items asked for at a time while some of them may not be seen."""


class CustomStore(BaseStore):
    """The project's store as `access` may see it, for graphs and routes. Usable from any thread and event loop.

    On a server with API keys the first label of each namespace is the workspace, which nobody sees from within.
    """

    supports_ttl = True

    def __init__(
        self,
        store: BaseStore,
        loop: OwnLoop,
        resources: AsyncExitStack,
        *,
        in_workspaces: bool,
        access: Access = EVERYTHING,
        sanitised: bool = False,
    ) -> None:
        """`resources` are what the store needs to be open. `sanitised` views raise StoreFailed for whatever goes wrong."""
        self._store = store
        self._loop = loop
        self._resources = resources
        self._in_workspaces = in_workspaces
        self._access = access
        self._sanitised = sanitised
        self._root = (access.home,) if in_workspaces else ()
        self.ttl_config = store.ttl_config

    def seen_by(self, access: Access) -> CustomStore:
        """The same store as a caller of the API may see it."""
        return self._view(access, sanitised=True)

    def within(self, workspace: str) -> CustomStore:
        """The same store as graphs get it that run in `workspace`."""
        return self._view(Access(workspace=workspace), sanitised=False)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self._loop.run(self._run(list(ops))).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await asyncio.wrap_future(self._loop.run(self._run(list(ops))))

    def close(self) -> None:
        """Close the project's store. On a plain thread."""
        try:
            self._loop.run(self._resources.aclose()).result()
        except Exception:  # the server stops all the same
            log.exception("the project's store could not be closed")
        self._loop.close()

    def _view(self, access: Access, *, sanitised: bool) -> CustomStore:
        return CustomStore(
            self._store,
            self._loop,
            self._resources,
            in_workspaces=self._in_workspaces,
            access=access,
            sanitised=sanitised,
        )

    async def _run(self, ops: Sequence[Op]) -> list[Result]:
        for op in ops:
            if isinstance(op, PutOp) and op.ttl is not None and not self._store.supports_ttl:
                raise BadInput("The project's store knows no time to live (ttl) of items.")
        try:
            limits = self._access.limits(store_items.c.value)
            wanted = None if limits is None else limits.filter
            if wanted is None:
                return await self._asked(ops)
            return [
                await self._filtered(op, wanted) if isinstance(op, SearchOp) else (await self._asked([op]))[0]
                for op in ops
            ]
        except WaystationError:
            raise
        except Exception as error:
            if not self._sanitised:
                raise
            log.exception("the project's store failed")
            raise StoreFailed(
                f"The project's store failed ({type(error).__name__}). The server's log has the details."
            ) from error

    async def _asked(self, ops: Sequence[Op]) -> list[Result]:
        own = [inner(op, self._root) for op in ops]
        try:
            results = await self._store.abatch(own)
        except NotImplementedError:  # a synchronous store
            results = await asyncio.to_thread(self._store.batch, own)
        return [outer(result, self._root) for result in results]

    async def _filtered(self, op: SearchOp, wanted: filters.Filter) -> Result:
        """The page of a search among the items that pass: a handler's filter is no filter that other stores understand."""
        passing: list[Any] = []
        start = 0
        while len(passing) < op.offset + op.limit:
            [found] = await self._asked([op._replace(limit=PAGE, offset=start)])
            assert isinstance(found, list)
            passing += [item for item in found if filters.passes(wanted, to_plain(item.value))]  # type: ignore[union-attr]
            start += PAGE
            if len(found) < PAGE:
                break
        return passing[op.offset : op.offset + op.limit]


def open_custom_store(path: str, modules: Modules, *, in_workspaces: bool) -> CustomStore:
    """The store that `path` names: a BaseStore, or a function (perhaps asynchronous) or context manager that gives one. On a plain
    thread. Raises ConfigError."""
    found = modules.part("store.path", path)
    loop, resources = OwnLoop("waystation-store"), AsyncExitStack()
    try:
        store = loop.run(_made(found, resources)).result()
    except Exception as error:
        loop.close()
        raise ConfigError(f"store.path: {path} failed: {type(error).__name__}: {error}") from error
    if not isinstance(store, BaseStore):
        loop.run(resources.aclose()).result()
        loop.close()
        raise ConfigError(
            f"store.path: {path} must be a langgraph.store.base.BaseStore, or a function or context manager that gives one; it "
            f"gives a {type(store).__name__}."
        )
    return CustomStore(store, loop, resources, in_workspaces=in_workspaces)


async def _made(found: Any, resources: AsyncExitStack) -> Any:
    """What the project's variable gives. Context managers are entered, and left with `resources`."""
    if isinstance(found, BaseStore):
        return found
    made = found() if callable(found) else found
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, BaseStore):
        return made
    if hasattr(made, "__aenter__"):
        return await resources.enter_async_context(made)
    return resources.enter_context(made) if hasattr(made, "__enter__") else made
