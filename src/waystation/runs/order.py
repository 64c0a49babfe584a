"""From a request to the run that is stored: what the client, the thread and the assistant each contribute (spec 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from uuid_utils import uuid7

from waystation.errors import BadInput, UnprocessableInput
from waystation.http.bodies import require_uuid
from waystation.reserved import strip_config, strip_context, strip_metadata
from waystation.runs.models import RunCreate, RunCreateStateful, RunCreateStateless
from waystation.threads.ttl import Ttl

__all__ = ["Order", "configured", "merged_thread_config", "order_from"]

DEFAULT_STREAM_MODE = ["values"]


class Order(Struct, frozen=True):
    """A checked request for a run, free of HTTP."""

    run_id: str
    assistant_id: str
    """An assistant's id or a graph id."""
    thread_id: str
    stateless: bool
    """Whether the thread is made for this run alone."""
    kwargs: dict[str, Any]
    """Everything about the execution that the client chose, with defaults filled in."""
    metadata: dict[str, Any] = field(default_factory=dict)
    multitask_strategy: str = "enqueue"
    create_thread: bool = False
    after_s: float = 0.0
    server_configurable: Mapping[str, Any] = field(default_factory=dict)
    """What the server adds to ``configurable``: the request id, selected headers."""
    user_id: str | None = None
    default_ttl: Ttl | None = None
    """For the thread, if the run makes it and does not say itself."""
    listener: str | None = None
    """The process that waits for the run or streams it (`waystation.streams.bus`)."""


def order_from(
    body: RunCreate,
    thread_id: str | None,
    server_configurable: Mapping[str, Any],
    user_id: str | None,
    default_ttl: Ttl | None = None,
) -> Order:
    """`body` as an `Order`; `thread_id` is None for a stateless run.

    Raises BadInput and UnprocessableInput for what the reference refuses (spec 5.2)."""
    config = strip_config(body.config.model_dump(exclude_none=True) if body.config else {})
    context = strip_context(body.context or {})
    configurable: dict[str, Any] = dict(config.get("configurable") or {})
    if configurable and context:
        raise BadInput("Give either config.configurable or context, not both.")
    command = body.command.model_dump(exclude_unset=True) if body.command else None
    if thread_id is None and command and command.get("resume"):
        raise BadInput("command.resume needs a thread to resume.")
    configurable.update(_checkpoint_keys(body))
    kwargs = {
        "input": body.input,
        "command": command,
        "config": {**config, "configurable": configurable},
        "context": context or None,
        "stream_mode": _stream_modes(body),
        "interrupt_before": body.interrupt_before,
        "interrupt_after": body.interrupt_after,
        "webhook": body.webhook,
        "feedback_keys": body.feedback_keys,
        "temporary": isinstance(body, RunCreateStateless) and body.on_completion != "keep",
        "subgraphs": bool(body.stream_subgraphs),
        "resumable": bool(body.stream_resumable),
        "checkpoint_during": body.checkpoint_during,
        "durability": _durability(body),
    }
    if body.langsmith_tracer:
        kwargs["langsmith_tracer"] = body.langsmith_tracer.model_dump(exclude_none=True)
    stateful = body if isinstance(body, RunCreateStateful) else None
    return Order(
        run_id=str(uuid7()),
        assistant_id=body.assistant_id,
        thread_id=thread_id or str(uuid7()),
        stateless=thread_id is None,
        kwargs=kwargs,
        metadata=strip_metadata(body.metadata or {}),
        multitask_strategy=(stateful and stateful.multitask_strategy) or "enqueue",
        create_thread=stateful is None or stateful.if_not_exists == "create",
        after_s=body.after_seconds or 0.0,
        server_configurable=server_configurable,
        user_id=user_id,
        default_ttl=default_ttl,
    )


def _stream_modes(body: RunCreate) -> list[str]:
    modes = list(dict.fromkeys(body.stream_mode or DEFAULT_STREAM_MODE))
    if "messages-tuple" in modes and "messages" in modes:
        modes.remove("messages")
    return modes


def _durability(body: RunCreate) -> str:
    if body.durability is not None:
        return body.durability
    return "exit" if body.checkpoint_during is False else "async"


def _checkpoint_keys(body: RunCreate) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if body.checkpoint is not None:
        point = body.checkpoint
        keys = {
            name: value
            for name in ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
            if (value := getattr(point, name)) is not None
        }
    if body.checkpoint_id is not None:
        keys["checkpoint_id"] = body.checkpoint_id
    if "checkpoint_id" in keys:
        keys["checkpoint_id"] = require_uuid(keys["checkpoint_id"], "checkpoint_id")
    elif body.config is not None and (chosen := (body.config.configurable or {}).get("checkpoint_id")) is not None:
        if not isinstance(chosen, str):
            raise UnprocessableInput("Invalid config.configurable.checkpoint_id: it must be a UUID.")
        keys["checkpoint_id"] = require_uuid(chosen, "checkpoint_id")
    return keys


def merged_thread_config(
    assistant: Mapping[str, Any], thread: Mapping[str, Any], requested: Mapping[str, Any]
) -> dict[str, Any]:
    """The config a thread keeps after a run was created on it: later runs inherit its configurables."""
    return {
        **assistant,
        **thread,
        **{k: v for k, v in requested.items() if k != "configurable"},
        "configurable": {**(assistant.get("configurable") or {}), **(thread.get("configurable") or {})},
    }


def configured(
    order: Order,
    *,
    assistant: Any,
    thread_metadata: Mapping[str, Any],
    thread_config: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run's ``kwargs`` and ``metadata`` as stored, every contribution merged (later wins)."""
    requested = order.kwargs["config"]
    assistant_config = assistant.config or {}
    from_thread = thread_config.get("configurable") or {}
    from_assistant = assistant_config.get("configurable") or {}
    own_context = order.kwargs["context"]
    from_request = requested.get("configurable") or {}
    context = {**(assistant.context or {}), **(own_context or _without_checkpoint(from_request))}
    from_request = {**(own_context or {}), **from_request}
    metadata = {
        **assistant.metadata,
        **thread_metadata,
        **(requested.get("metadata") or {}),
        **order.metadata,
        "graph_id": assistant.graph_id,
        "assistant_id": assistant.assistant_id,
    }
    user_id = next(
        (value for source in (from_request, from_thread, from_assistant) if (value := source.get("user_id"))),
        order.user_id,
    )
    configurable = {
        **from_assistant,
        **from_thread,
        **from_request,
        **order.server_configurable,
        "run_id": order.run_id,
        "thread_id": order.thread_id,
        "graph_id": assistant.graph_id,
        "assistant_id": assistant.assistant_id,
        "user_id": user_id,
    }
    config = {**assistant_config, **requested, "configurable": configurable, "metadata": metadata}
    return {**order.kwargs, "config": config, "context": context}, metadata


def _without_checkpoint(configurable: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v
        for k, v in configurable.items()
        if k not in ("checkpoint_id", "checkpoint_ns", "checkpoint_map", "thread_id")
    }
