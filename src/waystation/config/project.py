"""The form of ``langgraph.json`` (spec 19): strict types, unknown keys kept aside so that they can be reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "FAMILIES",
    "EncryptionSection",
    "Headers",
    "Http",
    "Project",
    "Section",
    "ThreadTtl",
    "Webhooks",
    "unknown_keys",
]

FAMILIES = (
    "assistants",
    "threads",
    "runs",
    "store",
    "meta",
    "mcp",
    "a2a",
    "ui",
    "event_streaming",
    "deepagents",
    "agui",
    "openai",
)
"""Route families that ``http.disable_<family>`` switches off."""


class Section(BaseModel):
    """Base of all sections: no coercion of types, unknown keys tolerated."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, defer_build=True)


def _reference(text: str) -> str:
    """`text`, if it names a variable in a file or a module. Raises ValueError."""
    where, _, variable = text.rpartition(":")
    if not where or not variable:
        raise ValueError(f"{text!r} must be './path/file.py:variable' or 'package.module:variable'")
    return text


Reference = Annotated[str, AfterValidator(_reference)]
"""Where something of the project is: ``./path/file.py:variable`` or ``package.module:variable``."""


class GraphEntry(Section):
    path: Reference
    description: str | None = None


class Cors(Section):
    allow_origins: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_headers: list[str] | None = None
    allow_credentials: bool | None = None
    allow_origin_regex: str | None = None
    expose_headers: list[str] | None = None
    max_age: int | None = None


class Headers(Section):
    includes: list[str] | None = None
    include: list[str] | None = None
    excludes: list[str] | None = None
    exclude: list[str] | None = None

    def patterns(self) -> dict[str, list[str]]:
        """Both lists under one name each, in lower case."""
        return {
            "includes": [name.lower() for name in (*(self.includes or ()), *(self.include or ()))],
            "excludes": [name.lower() for name in (*(self.excludes or ()), *(self.exclude or ()))],
        }


class Http(Section):
    app: Reference | None = None
    cors: Cors | None = None
    configurable_headers: Headers | None = None
    logging_headers: Headers | None = None
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_meta: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    disable_ui: bool = False
    disable_event_streaming: bool = False
    disable_deepagents: bool = False
    disable_agui: bool = False
    disable_openai: bool = False
    disable_webhooks: bool = False
    enable_custom_route_auth: bool = False
    middleware_order: Literal["middleware_first", "auth_first"] = "middleware_first"
    mount_prefix: str | None = None


class StoreTtl(Section):
    refresh_on_read: bool = True
    default_ttl: float | None = Field(default=None, gt=0)
    sweep_interval_minutes: float | None = Field(default=None, gt=0)


class StoreIndex(Section):
    dims: int = Field(ge=1, le=16_000)
    embed: str
    fields: list[str] = Field(default=["$"], min_length=1)

    @field_validator("embed")
    @classmethod
    def _names_an_embedder(cls, embed: str) -> str:
        where, _, what = embed.partition(":")
        if not where or not what:
            raise ValueError(f"{embed!r} must be 'provider:model' or './path/file.py:function'")
        return embed

    @field_validator("fields")
    @classmethod
    def _begin_in_the_value(cls, fields: list[str]) -> list[str]:
        for path in fields:
            if path.startswith(("$.", "$[")):
                raise ValueError(
                    f"{path!r} would name a field '$'; a path begins in the value: {path[1:].lstrip('.')!r}"
                )
        return fields


class Store(Section):
    index: StoreIndex | None = None
    ttl: StoreTtl | None = None
    path: Reference | None = None

    @model_validator(mode="after")
    def _has_one_index(self) -> Self:
        if self.path is not None and (self.index is not None or self.ttl is not None):
            raise ValueError(
                "path: a store of the project's own replaces the built-in one, which index and ttl are for: give those to "
                "that store where it is made, and remove them here"
            )
        return self


class ThreadTtl(Section):
    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl: float | None = Field(default=None, gt=0)
    sweep_interval_minutes: float | None = Field(default=None, gt=0)
    sweep_limit: int | None = Field(default=None, ge=1)


class Checkpointer(Section):
    backend: Literal["default", "mongo", "custom"] = "default"
    path: str | None = None
    ttl: ThreadTtl | None = None
    serde: dict[str, Any] | None = None


class AuthCache(Section):
    cache_keys: list[str] = Field(default=["authorization"], min_length=1)
    ttl_seconds: float = Field(default=60, gt=0)
    max_size: int = Field(default=1000, ge=1)


class AuthSection(Section):
    path: Reference | None = None
    disable_studio_auth: bool | None = None
    allow_langsmith_api_keys: bool | None = None
    openapi: dict[str, Any] = {}
    cache: AuthCache | None = None

    @field_validator("openapi", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {} if value is None else value


WebhookField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "status",
    "run_started_at",
    "run_ended_at",
    "webhook_sent_at",
    "values",
    "error",
]


class WebhookUrls(Section):
    require_https: bool | None = None
    allowed_domains: list[str] | None = None
    allowed_ports: list[int] | None = None
    max_url_length: int | None = Field(default=None, ge=1)
    disable_loopback: bool | None = None
    disable_private_ips: bool | None = None


class Webhooks(Section):
    env_prefix: str | None = None
    headers: dict[str, str] | None = None
    url: WebhookUrls | None = None
    allowed_fields: list[WebhookField] | None = None


class EncryptionSection(Section):
    path: str | None = None


class Project(Section):
    """The whole file."""

    graphs: dict[str, GraphEntry]
    dependencies: list[str] = []
    env: str | dict[str, Any] | None = None
    http: Http = Http()
    store: Store = Store()
    checkpointer: Checkpointer = Checkpointer()
    auth: AuthSection | None = None
    encryption: EncryptionSection | None = None
    webhooks: Webhooks | None = None
    priority: dict[str, Any] | None = None
    ui: dict[str, Any] | None = None
    ui_config: dict[str, Any] | None = None
    json_schema: Any = Field(default=None, alias="$schema")
    python_version: Any = None
    node_version: Any = None
    pip_config_file: Any = None
    pip_installer: Any = None
    dockerfile_lines: Any = None
    base_image: Any = None
    image_distro: Any = None
    api_version: Any = None
    keep_pkg_tools: Any = None
    source: Any = None

    @field_validator("http", "store", "checkpointer", "dependencies", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @field_validator("graphs", mode="before")
    @classmethod
    def _short_entries(cls, graphs: Any) -> Any:
        if not isinstance(graphs, dict):
            return graphs
        for graph_id in graphs:
            _check_graph_id(graph_id)
        return {key: {"path": entry} if isinstance(entry, str) else entry for key, entry in graphs.items()}


def _check_graph_id(graph_id: str) -> None:
    if not graph_id.strip():
        raise ValueError("a graph id must not be empty")
    try:
        UUID(graph_id)
    except ValueError:
        return
    raise ValueError(f"{graph_id!r} is a UUID; as a graph id it could not be told from an assistant's id")


def unknown_keys(section: Section, prefix: str = "") -> Iterator[str]:
    """Dotted names of the keys in `section`, and in the sections within, that mean nothing here."""
    for key in section.model_extra or ():
        yield prefix + key
    for name in section.model_fields_set & type(section).model_fields.keys():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from unknown_keys(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, Section):
                    yield from unknown_keys(item, f"{prefix}{name}.{key}.")
