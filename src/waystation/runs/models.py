"""Wire shapes of runs (contract: RunCreateStateful, RunCreateStateless, RunsCancel)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from waystation.http.bodies import Body

__all__ = [
    "CancelAction",
    "Checkpoint",
    "Command",
    "Durability",
    "MultitaskStrategy",
    "RunCreate",
    "RunCreateStateful",
    "RunCreateStateless",
    "RunOptions",
    "RunStatus",
    "RunsCancel",
    "StreamMode",
    "StreamModes",
]

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
MultitaskStrategy = Literal["reject", "rollback", "interrupt", "enqueue"]
CancelAction = Literal["interrupt", "rollback"]
Durability = Literal["sync", "async", "exit"]
StreamMode = Literal[
    "values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom"
]


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


StreamModes = Annotated[list[StreamMode] | None, BeforeValidator(_one_or_many)]
"""One mode may come without its list."""

NodeName = Annotated[str, Field(min_length=1)]


class Send(BaseModel):
    """A node to run next with an input of its own."""

    model_config = ConfigDict(strict=True, extra="allow")
    node: str
    input: Any


class Command(BaseModel):
    """What to tell a graph instead of an input (spec 6.6)."""

    model_config = ConfigDict(strict=True, extra="allow")
    update: dict[str, Any] | list[Any] | None = None
    resume: Any = None
    goto: NodeName | Send | list[NodeName] | list[Send] | None = None


class Checkpoint(BaseModel):
    """A point in a thread's history."""

    model_config = ConfigDict(strict=True, extra="allow")
    thread_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_id: str | None = None
    checkpoint_map: dict[str, Any] | None = None


class RunConfig(BaseModel):
    """The client's part of a RunnableConfig. Graphs get all of it."""

    passes_on: ClassVar = True

    model_config = ConfigDict(strict=True, extra="allow")
    tags: list[str] | None = None
    recursion_limit: int | None = None
    configurable: dict[str, Any] | None = None


class LangsmithTracer(BaseModel):
    """Where LangSmith should file a run's trace."""

    model_config = ConfigDict(strict=True, extra="allow")
    project_name: str | None = None
    example_id: str | None = None


class RunOptions(Body):
    """What can be said of a run, whatever it is a run of (spec 5.2)."""

    input: Any = None
    command: Command | None = None
    metadata: dict[str, Any] | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    webhook: str | None = Field(None, min_length=1, max_length=65536)
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    stream_mode: StreamModes = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    feedback_keys: list[str] | None = None
    after_seconds: float | None = Field(None, ge=0, allow_inf_nan=False, le=10 * 365 * 86400)
    checkpoint_during: bool | None = None
    durability: Durability | None = None
    on_disconnect: Literal["cancel", "continue"] | None = None
    langsmith_tracer: LangsmithTracer | None = None


class RunCreate(RunOptions):
    """The fields that all ways to create a run share (spec 5.2)."""

    assistant_id: str


class RunCreateStateful(RunCreate):
    """A run on a thread."""

    multitask_strategy: MultitaskStrategy | None = None
    if_not_exists: Literal["create", "reject"] | None = None


class RunCreateStateless(RunCreate):
    """A run on a thread of its own that nobody named."""

    on_completion: Literal["delete", "keep"] | None = None


class RunsCancel(Body):
    """Which runs to cancel: by status, or some runs of one thread; never both."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: str | None = None
    run_ids: list[str] | None = None

    @model_validator(mode="after")
    def one_way(self) -> RunsCancel:
        by_ids = self.thread_id is not None or self.run_ids is not None
        if (self.status is not None) == by_ids:
            raise ValueError("give either status, or thread_id and run_ids")
        if by_ids and (self.thread_id is None or not self.run_ids):
            raise ValueError("thread_id and a non-empty run_ids go together")
        return self
