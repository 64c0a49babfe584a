"""Whom to notify of a task: setting, getting, listing and deleting (spec 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.requests import Request

from waystation.a2a import queries
from waystation.a2a.errors import invalid, pushes_not_supported, task_not_found
from waystation.a2a.models import PushConfig, PushParams, PushQuery
from waystation.a2a.queries import Push
from waystation.a2a.states import Generation
from waystation.a2a.tasks import found, readable, thread_of
from waystation.auth.access import Access
from waystation.http.authorization import allowed
from waystation.http.bodies import describe

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["delete_push", "get_push", "list_pushes", "push_of", "set_push"]

MOST = 10
"""Configurations that a task may have."""


def push_of(request: Request, config: PushConfig, generation: Generation) -> Push:
    """`config` as it is stored. Raises RpcError for one that nothing can be delivered to."""
    server: Server = request.app.state.server
    if not server.webhooks.sent:
        raise pushes_not_supported()
    server.webhooks.check(config.url)
    how = config.authentication
    schemes = (how.schemes or []) if how is not None else []
    scheme = (how.scheme if how is not None else None) or (schemes[0] if schemes else None)
    credentials = how.credentials if how is not None else None
    for name, text in (("token", config.token), ("scheme", scheme), ("credentials", credentials)):
        if text is not None and not (text.isascii() and text.isprintable()):
            raise invalid(f"The {name} of a push notification must be printable ASCII: it is sent as a header.")
    return {
        "id": config.id or str(uuid4()),
        "url": config.url,
        "token": config.token,
        "scheme": scheme,
        "credentials": credentials,
        "generation": generation,
    }


async def set_push(request: Request, assistant_id: str, params: PushParams, generation: Generation) -> Any:
    """Have somebody notified of a task; one with the same id is replaced."""
    config = params.pushNotificationConfig
    if config is None:
        try:
            config = PushConfig.model_validate(params.model_dump(exclude_unset=True, exclude={"taskId"}))
        except ValidationError as error:
            raise invalid(describe(error)) from None
    push = push_of(request, config, generation)

    def with_it(pushes: list[Push]) -> list[Push]:
        others = [each for each in pushes if each["id"] != push["id"]]
        if len(others) >= MOST:
            raise invalid(f"A task has at most {MOST} push notification configurations.")
        return [*others, push]

    await _change(request, assistant_id, params.taskId, with_it)
    return _wire(params.taskId, push, generation)


async def get_push(request: Request, assistant_id: str, params: PushQuery, generation: Generation) -> Any:
    """One configuration: the first, if A2A 0.3 names none."""
    task_id, push_id = _named(params, generation)
    _, row = await readable(request, assistant_id, task_id)
    for push in row.pushes:
        if push_id in (None, push["id"]):
            return _wire(task_id, push, generation)
    raise task_not_found(f"{task_id} with the push notification configuration {push_id}")


async def list_pushes(request: Request, assistant_id: str, params: PushQuery, generation: Generation) -> Any:
    """All configurations of a task."""
    task_id, _ = _named(params, generation)
    _, row = await readable(request, assistant_id, task_id)
    pushes = [_wire(task_id, push, generation) for push in row.pushes]
    return pushes if generation == "legacy" else {"configs": pushes, "nextPageToken": ""}


async def delete_push(request: Request, assistant_id: str, params: PushQuery, generation: Generation) -> Any:
    """Notify somebody no longer."""
    task_id, push_id = _named(params, generation)
    if push_id is None:
        raise invalid("Name the push notification configuration to delete.")
    await _change(request, assistant_id, task_id, lambda pushes: [each for each in pushes if each["id"] != push_id])


async def _change(
    request: Request, assistant_id: str, task_id: str, change: Callable[[list[Push]], list[Push]]
) -> None:
    server: Server = request.app.state.server
    thread_id = thread_of(task_id)
    access = await allowed(request, "threads", "update", {"thread_id": thread_id, "metadata": {}})
    await found(server, access, assistant_id, task_id)
    await server.db.write(_changed, assistant_id, task_id, thread_id, access, change)


def _changed(
    conn: Connection,
    assistant_id: str,
    task_id: str,
    thread_id: str,
    access: Access,
    change: Callable[[list[Push]], list[Push]],
) -> None:
    row = queries.find_locked(conn, task_id, assistant_id, thread_id, access)
    if row is None:
        raise task_not_found(task_id)
    queries.set_pushes(conn, task_id, change(list(row.pushes)))


def _named(params: PushQuery, generation: Generation) -> tuple[str, str | None]:
    """The task and the configuration that are meant. Raises RpcError."""
    if generation == "legacy":
        task_id, push_id = params.id, params.pushNotificationConfigId
    else:
        task_id, push_id = params.taskId, params.id
    if task_id is None:
        raise invalid(f"{'id' if generation == 'legacy' else 'taskId'}: name the task.")
    return task_id, push_id


def _wire(task_id: str, push: Push, generation: Generation) -> dict[str, Any]:
    wire: dict[str, Any] = {"id": push["id"], "url": push["url"]}
    if push["token"]:
        wire["token"] = push["token"]
    if push["credentials"] or push["scheme"]:
        scheme = push["scheme"] or "Bearer"
        named = {"schemes": [scheme]} if generation == "legacy" else {"scheme": scheme}
        wire["authentication"] = {**named, "credentials": push["credentials"] or ""}
    return (
        {"taskId": task_id, "pushNotificationConfig": wire} if generation == "legacy" else {"taskId": task_id, **wire}
    )
