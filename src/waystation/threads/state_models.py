"""Request bodies of state, history and supersteps (contract: ThreadState*, CheckpointConfig, ThreadSuperstepUpdate)."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from waystation.http.bodies import Body
from waystation.runs.models import Command

__all__ = [
    "CheckpointConfig",
    "CheckpointId",
    "StateAtCheckpoint",
    "StateSearch",
    "StateUpdate",
    "Superstep",
    "SuperstepUpdate",
]


def _checkpoint_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a checkpoint id: it must be a UUID") from None


CheckpointId = Annotated[str, AfterValidator(_checkpoint_id)]
"""A checkpoint id in a request: a UUID, in whatever case."""


class CheckpointConfig(Body):
    """``CheckpointConfig``. Without `checkpoint_id`, the newest checkpoint of the namespace."""

    thread_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_id: CheckpointId | None = None
    checkpoint_map: dict[str, CheckpointId] | None = None


class StateAtCheckpoint(Body):
    """``ThreadStateCheckpointRequest``."""

    checkpoint: CheckpointConfig
    subgraphs: bool | None = None
    select: Any = None
    """Sent by the SDKs, without effect (spec 4.2)."""


class StateUpdate(Body):
    """``ThreadStateUpdate``, with the deprecated `checkpoint_id` beside `checkpoint`."""

    values: dict[str, Any] | list[Any] | None = None
    as_node: str | None = None
    checkpoint: CheckpointConfig | None = None
    checkpoint_id: CheckpointId | None = None

    @model_validator(mode="after")
    def one_checkpoint(self) -> StateUpdate:
        in_object = self.checkpoint and self.checkpoint.checkpoint_id
        if in_object and self.checkpoint_id and in_object != self.checkpoint_id:
            raise ValueError("checkpoint.checkpoint_id and checkpoint_id name different checkpoints")
        return self


def _before(value: Any) -> Any:
    """The three forms of `before` (spec 4.2) as one: an id, a checkpoint, or a config around a checkpoint."""
    if isinstance(value, str):
        return {"checkpoint_id": value}
    if isinstance(value, dict) and isinstance(value.get("configurable"), dict):
        return value["configurable"]
    return value


class StateSearch(Body):
    """``ThreadStateSearch``."""

    limit: int = Field(1, ge=1, le=1000)
    before: Annotated[CheckpointConfig | None, BeforeValidator(_before)] = None
    metadata: dict[str, Any] | None = None
    checkpoint: CheckpointConfig | None = None
    select: Any = None
    """Sent by the SDKs, without effect (spec 4.2)."""


class SuperstepUpdate(Body):
    """``ThreadSuperstepUpdate``: what a node is taken to have returned. `command` wins over `values` (spec 3.3)."""

    as_node: str
    values: dict[str, Any] | list[Any] | None = None
    command: Command | None = None


class Superstep(Body):
    """Updates that nodes made in the same step."""

    updates: list[SuperstepUpdate]
