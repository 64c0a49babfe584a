"""Wire shapes of requests about agents (MDA 4, 6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec.structs import replace
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from waystation.deepagents.bodies import Filled, rule
from waystation.deepagents.files.changes import TreeChanges
from waystation.deepagents.files.models import FileMap, Skill, Subagent, Tools
from waystation.http.bodies import Body

__all__ = [
    "AgentClone",
    "AgentCreate",
    "AgentFields",
    "AgentUpdate",
    "Backend",
    "Permissions",
    "Runtime",
]

LONGEST_NAME = 256

_LEGACY_BACKENDS = {
    "default": {"type": "state"},
    "thread_scoped_sandbox": {"type": "sandbox", "scope": "thread"},
    "agent_scoped_sandbox": {"type": "sandbox", "scope": "agent"},
}


def _whole(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53):
        raise rule("use a whole number, 0 or more")
    return value


def _model(value: Any) -> Any:
    """A model in any of its spellings as the canonical one (MDA 6.1)."""
    if isinstance(value, str):
        return {"model_id": value}
    if isinstance(value, dict) and "id" in value:
        rest = {key: member for key, member in value.items() if key != "id"}
        return {"model_id": value["id"], **rest}
    return value


def _name(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise rule(f"use 1 to {LONGEST_NAME} printable characters")
    return text


Name = Annotated[Filled, AfterValidator(_name)]

Seconds = Annotated[int | None, BeforeValidator(_whole)]


class SharedUsers(Body):
    """Ids or names of users, by what they may do."""

    read: list[str] = Field(default_factory=list)
    run: list[str] = Field(default_factory=list)
    update: list[str] = Field(default_factory=list)


class Permissions(Body):
    """Who may do what (MDA 5). What is left out has its default."""

    identity: Literal["personal", "shared"] | None = None
    visibility: Literal["tenant", "user"] | None = None
    tenant_access_level: Literal["read", "run", "write"] | None = None
    shared_users: SharedUsers | None = None


class Model(Body):
    model_id: Filled


class Runtime(Body):
    model: Annotated[Model | None, BeforeValidator(_model)] = None


class Sandbox(Body):
    scope: Literal["thread", "agent"] | None = None
    snapshot_id: str | None = None
    policy_ids: list[str] | None = None
    idle_ttl_seconds: Seconds = None
    delete_after_stop_seconds: Seconds = None


class Backend(Body):
    """Where an agent's files live and its code runs (MDA 6.2), in the newest of its spellings."""

    type: Literal["state", "sandbox"]
    sandbox_config: Sandbox | None = None

    @model_validator(mode="before")
    @classmethod
    def _normalised(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {key: member for key, member in value.items() if member is not None}
        chosen = dict(_LEGACY_BACKENDS.get(str(given.get("type")), {"type": given.get("type")}))
        parts = [given.pop(key, None) for key in ("sandbox", "sandbox_config")]
        if any(part is not None and not isinstance(part, dict) for part in parts):
            raise rule("make sandbox_config an object")
        sandbox = {key: member for part in parts for key, member in (part or {}).items()}
        if "scope" in chosen:
            sandbox["scope"] = chosen.pop("scope")
        if chosen["type"] is None:
            chosen.pop("type")
        elif chosen["type"] == "state" and sandbox:
            raise rule("leave sandbox_config out, or set type to 'sandbox'")
        return {**given, **chosen, **({"sandbox_config": sandbox} if sandbox else {})}

    @model_validator(mode="after")
    def _with_scope(self) -> Backend:
        if self.type == "sandbox":
            self.sandbox_config = self.sandbox_config or Sandbox()
            self.sandbox_config.scope = self.sandbox_config.scope or "thread"
        return self


class AgentFields(Body):
    """What a request may say of a new agent and of one that there is."""

    description: str | None = None
    permissions: Permissions | None = None
    runtime: Runtime | None = None
    backend: Backend | None = None
    system_prompt: str | None = None
    instructions: str | None = Field(default=None, deprecated=True)
    tools: Tools | None = None
    subagents: list[Subagent] | None = None
    skills: list[Skill] | None = None
    extras: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    files: FileMap | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_model(cls, value: Any) -> Any:
        """A `model` at the top is that of the runtime, unless this has one."""
        if not isinstance(value, dict) or value.get("model") is None:
            return value
        rest = {key: member for key, member in value.items() if key != "model"}
        runtime = rest.get("runtime")
        if runtime is None or (isinstance(runtime, dict) and runtime.get("model") is None):
            rest["runtime"] = {**(runtime or {}), "model": value["model"]}
        return rest

    @property
    def tree_changes(self) -> TreeChanges:
        """What is said of the files. ``instructions`` is an older name of ``system_prompt``, which wins."""
        prompt = self.__dict__["instructions"] if self.system_prompt is None else self.system_prompt
        return TreeChanges(prompt, self.tools, self.subagents, self.skills, self.files)


class AgentCreate(AgentFields):
    """A new agent."""

    name: Name


class AgentUpdate(AgentFields):
    """A change of an agent: what is absent stays as it is (MDA 4.4)."""

    name: Name | None = None
    deleted_paths: list[str] | None = None

    @property
    def tree_changes(self) -> TreeChanges:
        return replace(super().tree_changes, deleted_paths=self.deleted_paths)


class AgentClone(Body):
    """What a copy does not take from the agent it is made of."""

    name: Name | None = None
    permissions: Permissions | None = None
