"""The configuration as the rest of the server sees it: plain frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "AuthConfig",
    "Config",
    "EncryptionConfig",
    "GraphSpec",
    "HttpConfig",
    "IndexConfig",
    "StoreConfig",
    "WebhookConfig",
]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One entry of ``graphs``: where the graph is, and what to call it."""

    graph_id: str
    reference: str
    """``./path/file.py:variable`` (relative to the project) or ``package.module:variable``."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """The ``http`` section, as far as it concerns the routes of this server."""

    disabled: frozenset[str] = frozenset()
    """Families not routed: assistants, threads, runs, store, meta, mcp, a2a, ui, event_streaming."""
    cors: Mapping[str, Any] | None = None
    """Arguments of Starlette's CORSMiddleware, replacing the default policy entirely; None for the default policy."""
    configurable_headers: Mapping[str, Any] | None = None
    """``{"includes": [pattern], "excludes": [pattern]}`` in lower case (spec 1.6); None copies no further header."""
    logging_headers: Mapping[str, Any] | None = None
    """The same form, for the request log."""
    mount_prefix: str = ""
    """Empty, or a path that begins with ``/`` and does not end with one."""
    disable_webhooks: bool = False
    app: str | None = None
    """The project's own application: ``./path/file.py:variable`` (relative to the project) or ``package.module:variable``."""
    protect_app: bool = False
    """Whether its routes are behind the server's authentication (``enable_custom_route_auth``)."""
    auth_first: bool = False
    """Whether callers are authenticated before the custom app's middleware sees their request (``middleware_order``)."""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The ``auth`` section: a project's own authentication (spec 18.1)."""

    path: str
    """``./path/file.py:variable`` (relative to the project) or ``package.module:variable``."""
    disable_studio_auth: bool | None = None
    """Only False lets a request be the Studio's by saying so in a header; `dev` takes None for False."""
    openapi: Mapping[str, Any] = field(default_factory=dict)
    cache_headers: tuple[str, ...] = ()
    """Requests that agree in these headers, in lower case, are of the same user; empty keeps no users."""
    cache_ttl_s: float = 60
    cache_size: int = 1000


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """The ``store.index`` section: semantic search (spec 19)."""

    dims: int
    """Numbers in a vector."""
    embed: str
    """``provider:model``, or where the project's function or Embeddings object is."""
    fields: tuple[str, ...] = ("$",)
    """JSON paths into an item's value, whose texts are embedded."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The ``store`` section."""

    ttl: Mapping[str, Any] = field(default_factory=dict)
    index: IndexConfig | None = None
    path: str | None = None
    """Of the project's own store, which replaces the built-in one."""


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """The ``webhooks`` section, and how deliveries are repeated (spec 11)."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every delivery."""
    allowed_fields: frozenset[str] | None = None
    """Of the payload; None for all."""
    has_url_policy: bool = False
    """Whether there is a ``webhooks.url``: then https is required unless it says otherwise."""
    require_https: bool | None = None
    allowed_domains: tuple[str, ...] | None = None
    """In lower case; ``*.example.com`` for subdomains only."""
    allowed_ports: tuple[int, ...] | None = None
    max_url_length: int = 4096
    disable_loopback: bool | None = None
    disable_private_ips: bool | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Keys that deliveries are signed with; several while a key is being replaced."""
    attempts: int = 10
    backoff_s: float = 1
    """Rest after the first attempt that failed; it doubles with each."""
    backoff_max_s: float = 600
    log_days: float = 7
    """How long it is known what became of a delivery."""


@dataclass(frozen=True, slots=True)
class EncryptionConfig:
    """How stored data is encrypted (spec 23)."""

    path: str | None = None
    """The project's own handlers: ``./path/file.py:variable`` or ``package.module:variable``."""
    aes_key: bytes | None = field(default=None, repr=False)
    """16, 24 or 32 bytes. Without it nothing new is encrypted, except by handlers."""
    old_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Keys that what is stored may be encrypted with beside the current one."""
    json_keys: tuple[str, ...] = ()
    """Keys whose values are encrypted where the rest of an object stays searchable."""
    searchable_values: bool = False
    """Whether the values of threads can be searched, and only `json_keys` of them are encrypted."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, with its default. Directories given to `load_config` as relative paths are absolute here."""

    project_dir: Path
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    graph_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Config of the default assistant of a graph, by graph id."""
    dependencies: tuple[str, ...] = ()
    """Local directories that graphs import from."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the project's ``env`` key; those of the process win over them."""
    http: HttpConfig = HttpConfig()
    auth: AuthConfig | None = None
    api_keys: bool = False
    encryption: EncryptionConfig | None = None
    """None: everything is stored as it is."""
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    """What credentials are encrypted with: by the first one."""
    key_file: Path | None = field(default=None, repr=False)
    """Where a server without `secret_keys` keeps a key, which it makes when it first needs one. None where it needs to be given one."""
    mcp_call_timeout_s: float = 120
    webhooks: WebhookConfig = WebhookConfig()
    default_model: str | None = None
    """The model of agents that name none: ``provider:model``, or a key of `models`."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Model configurations, by the name that agents use: ``{"model": "provider:model", ...}``."""
    allow_private_urls: bool = False
    """Whether users may name addresses of private networks and of this machine, and MCP servers by plain http: for
    webhooks, and whatever else calls out."""
    crons_enabled: bool = True
    a2a_assistant_id: str | None = None
    cron_interval_s: float = 5
    """How often the scheduler looks at least."""
    store: StoreConfig = StoreConfig()
    checkpointer: Mapping[str, Any] = field(default_factory=dict)
    data_dir: Path = Path(".waystation")
    sqlite_sync: bool = False
    database_uri: str | None = field(default=None, repr=False)
    postgres_pool_size: int = 10
    """Connections of one process."""
    redis_uri: str | None = field(default=None, repr=False)
    redis_key_prefix: str = "ws"
    jobs_per_worker: int = 64
    max_pending_runs: int = 100_000
    """0 for no limit."""
    lease_s: float = 30
    job_timeout_s: float = 86_400
    job_max_retries: int = 3
    """Attempts a run may have."""
    shutdown_grace_s: float = 180
    resumable_ttl_s: float = 120
    event_streaming: bool = True
    event_buffer: int = 10_000
    checkpoint_cache_mb: float = 64
    max_body_bytes: int = 314_572_800
    heartbeat_s: float = 5
    trace_exporters: Sequence[str] | None = None
    """Names of OpenTelemetry exporters; None for OTLP if there is a `trace_endpoint`, and no traces otherwise."""
    trace_endpoint: str | None = field(default=None, repr=False)
    tracing_disabled: bool = False
    log_level: str = "INFO"
    log_json: bool = False
    log_color: bool = True
    unsupported: tuple[str, ...] = ()
    """Keys and variables that are set but ask for a feature this server does not have."""
    notices: tuple[str, ...] = ()
    """What a person should be told at start-up although it is not an error."""

    @property
    def references(self) -> tuple[str, ...]:
        """Everything of the project that is named as ``./path/file.py:variable`` or ``package.module:variable``. An embedder may be
        ``provider:model`` instead."""
        index = self.store.index
        given = (
            None if self.auth is None else self.auth.path,
            self.http.app,
            None if self.encryption is None else self.encryption.path,
            self.store.path,
            None if index is None else index.embed,
        )
        return (*(spec.reference for spec in self.graphs.values()), *(each for each in given if each is not None))
