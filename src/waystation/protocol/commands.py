"""Carrying out commands (spec 13.1), which come over HTTP or a WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.errors import Forbidden, WaystationError
from waystation.http.authorization import allowed
from waystation.http.errors import as_http_exception
from waystation.protocol import orders, states
from waystation.protocol.filters import filter_of
from waystation.protocol.frames import Namespace
from waystation.protocol.injection import inject
from waystation.protocol.models import CommandFailed, failure, success
from waystation.protocol.tape import RunOnTape
from waystation.threads import require_thread

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["Commands", "InvalidCommand"]

log = structlog.get_logger("waystation.protocol")

Params = Mapping[str, Any]
Handler = Callable[[Params], Awaitable[dict[str, Any]]]


class InvalidCommand(CommandFailed):
    """Something that is no command at all."""

    def __init__(self, message: str, command_id: int | None) -> None:
        super().__init__("invalid_argument", message)
        self.command_id = command_id


class Commands:
    """The commands of one thread, for one caller."""

    def __init__(self, request: Request, thread_id: str) -> None:
        """`request` says who calls."""
        self._request = request
        self._server: Server = request.app.state.server
        self._thread_id = thread_id
        self._handlers: dict[str, Handler] = {
            "run.start": lambda params: orders.start(request, thread_id, params),
            "input.respond": lambda params: orders.respond(request, thread_id, params),
            "input.inject": lambda params: inject(request, thread_id, params),
            "state.get": lambda params: states.get(request, thread_id, params),
            "state.listCheckpoints": lambda params: states.list_checkpoints(request, thread_id, params),
            "state.fork": lambda params: states.fork(request, thread_id, params),
            "agent.getTree": self._tree,
            "subscription.subscribe": self.subscribe,
            "subscription.unsubscribe": self.unsubscribe,
            "subscription.reconnect": self.reconnect,
        }

    @property
    def applied_through(self) -> int:
        """The number of the last event that the client certainly has. A client counts on having all up to it."""
        return 0

    async def answer(self, command: Any) -> dict[str, Any]:
        """Carry out a command; the answer for the client. Raises InvalidCommand for what is none."""
        command_id, method, params = _checked(command)
        handler = self._handlers.get(method)
        try:
            if handler is None:
                raise CommandFailed("unknown_command", f"There is no command {method!r}.")
            result = await handler(params)
        except CommandFailed as failed:
            return failure(command_id, failed)
        except (WaystationError, HTTPException) as error:
            return failure(command_id, self._refusal(error))
        except Exception:
            log.exception("a command failed", method=method, thread_id=self._thread_id)
            return failure(command_id, CommandFailed("unknown_error", "500: Internal Server Error"))
        return success(command_id, result, self.applied_through)

    def _refusal(self, error: WaystationError | HTTPException) -> CommandFailed:
        if isinstance(error, WaystationError):
            denied = isinstance(error, Forbidden)
            error = as_http_exception(self._request, error)
        else:
            denied = error.status_code in (401, 403)
        return CommandFailed("permission_denied" if denied else "unknown_error", f"{error.status_code}: {error.detail}")

    async def readable(self) -> Access:
        """The caller's access to the thread. Raises NotFound for a thread that is unknown, or not for the caller to see."""
        access = await allowed(self._request, "threads", "read", {"thread_id": self._thread_id})
        await self._server.db.lookup(require_thread, self._thread_id, access)
        return access

    # --- subscriptions mean something on a connection only

    async def subscribe(self, params: Params) -> dict[str, Any]:
        """Check a subscription that nothing can be sent to."""
        filter_of(params)
        return {"subscription_id": "http", "replayed_events": 0}

    async def unsubscribe(self, params: Params) -> dict[str, Any]:
        """End one."""
        return {}

    async def reconnect(self, params: Params) -> dict[str, Any]:
        """Take one up again."""
        raise CommandFailed(
            "not_supported", "subscription.reconnect needs a WebSocket; over HTTP, open the event stream with `since`."
        )

    # --- the rest

    async def _tree(self, params: Params) -> dict[str, Any]:
        await self.readable()
        with self._server.sessions.reading(self._thread_id) as session:
            await session.ready.wait()
            run = session.tape.run
            wanted = params.get("run_id")
            if run is None or run.status != "running" or (wanted is not None and wanted != run.run_id):
                raise CommandFailed("no_such_run", "No such run is going on the thread.")
            return {"tree": _tree_of(run)}


def _checked(command: Any) -> tuple[int, str, Params]:
    """The parts of a command. Raises InvalidCommand."""
    given = command if isinstance(command, dict) else {}
    command_id, method, params = given.get("id"), given.get("method"), given.get("params", {})
    if not isinstance(command_id, int) or isinstance(command_id, bool) or command_id < 0:
        raise InvalidCommand("A command needs an id: an integer that is not negative.", None)
    if not isinstance(method, str):
        raise InvalidCommand("A command needs a method: its name as text.", command_id)
    if params is not None and not isinstance(params, dict):
        raise InvalidCommand("A command's params are an object.", command_id)
    return command_id, method, params or {}


def _tree_of(run: RunOnTape) -> dict[str, Any]:
    """The run and its subgraphs, nested as their namespaces are."""
    nodes: dict[Namespace, dict[str, Any]] = {
        (): {"namespace": [], "status": run.status, "graph_name": run.graph_name or ""}
    }
    for namespace, subgraph in sorted(run.subgraphs.known.items(), key=lambda item: len(item[0])):
        node = {"namespace": list(namespace), "status": subgraph.status, "graph_name": subgraph.graph_name}
        nodes[namespace] = node
        nodes[namespace[:-1]].setdefault("children", []).append(node)
    return nodes[()]
