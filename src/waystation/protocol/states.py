"""The commands ``state.get``, ``state.listCheckpoints`` and ``state.fork`` (spec 13.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError
from starlette.requests import Request

from waystation.encoding import to_plain
from waystation.errors import BadInput, UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import Body, describe, require_uuid
from waystation.http.configurable import server_configurable
from waystation.protocol import orders
from waystation.protocol.messages import shown_state
from waystation.protocol.models import CommandFailed
from waystation.runs import queries
from waystation.threads.history import history
from waystation.threads.state import get_state

__all__ = ["fork", "get", "list_checkpoints"]

DEFAULT_LIMIT, MAX_LIMIT = 10, 1000


class StateGet(Body):
    """Which state to get; all of its keys unless some are named."""

    namespace: list[str] = Field(default_factory=list)
    keys: list[str] | None = None


class ListCheckpoints(Body):
    """Which checkpoints to list, newest first."""

    namespace: list[str] = Field(default_factory=list)
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    before: str | None = None


class StateFork(Body):
    """Where to go on from."""

    checkpoint_id: str
    input: Any = None
    config: dict[str, Any] | None = None


async def get(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """``{values, checkpoint?}``: the newest state of a namespace. Raises CommandFailed, NotFound for an unknown thread."""
    asked = _checked(StateGet, params)
    state = await _state(request, thread_id, {"checkpoint_ns": "|".join(asked.namespace)})
    if state["created_at"] is None:
        if asked.namespace:
            raise CommandFailed("no_such_namespace", f"The thread has no state in namespace {asked.namespace}.")
        return {"values": {}}
    values = shown_state(to_plain(state["values"]))
    if asked.keys is not None:
        values = {key: values[key] for key in asked.keys if key in values}
    checkpoint = {"id": state["checkpoint"]["checkpoint_id"], "ns": state["checkpoint"].get("checkpoint_ns", "")}
    return {"values": values, "checkpoint": checkpoint}


async def list_checkpoints(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """``{checkpoints: [{id, timestamp, step, node_name?, metadata}]}``, newest first. Raises as `get` does."""
    asked = _checked(ListCheckpoints, params)
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    states = await history(
        request.app.state.server,
        access,
        thread_id,
        limit=asked.limit,
        before={"checkpoint_id": _checkpoint_id(asked.before)} if asked.before is not None else None,
        checkpoint={"checkpoint_ns": "|".join(asked.namespace)},
        configurable=server_configurable(request),
    )
    return {"checkpoints": [_summary(state) for state in states]}


async def fork(request: Request, thread_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """``{run_id, thread_id}`` of a new run that goes on from a checkpoint. Raises CommandFailed, and what `Engine.create` raises."""
    asked = _checked(StateFork, params)
    checkpoint_id = _checkpoint_id(asked.checkpoint_id)
    state = await _state(request, thread_id, {"checkpoint_id": checkpoint_id})
    if state["created_at"] is None:
        raise CommandFailed("no_such_checkpoint", f"The thread has no checkpoint {checkpoint_id}.")
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    thread = await request.app.state.server.db.lookup(queries.find_thread, thread_id, access)
    metadata = thread.metadata if thread is not None else {}
    assistant_id = metadata.get("assistant_id") or metadata.get("graph_id")
    if not isinstance(assistant_id, str):
        raise CommandFailed("no_such_checkpoint", "The thread has had no run.")
    return await orders.fork(request, thread_id, assistant_id, {**asked.model_dump(), "checkpoint_id": checkpoint_id})


async def _state(request: Request, thread_id: str, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    access = await allowed(request, "threads", "read", {"thread_id": thread_id})
    server = request.app.state.server
    try:
        return await get_state(server, access, thread_id, checkpoint, False, server_configurable(request))
    except BadInput as error:
        raise CommandFailed("no_such_namespace", error.message) from None


def _summary(state: Mapping[str, Any]) -> dict[str, Any]:
    metadata = state["metadata"] or {}
    return {
        "id": state["checkpoint"]["checkpoint_id"],
        "timestamp": state["created_at"],
        "step": metadata.get("step"),
        "metadata": metadata,
    }


def _checked(model: Any, params: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None


def _checkpoint_id(text: str) -> str:
    try:
        return require_uuid(text, "checkpoint_id")
    except UnprocessableInput as error:
        raise CommandFailed("no_such_checkpoint", error.message) from None
