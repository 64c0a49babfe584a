"""The configuration: one frozen `Config`, built once from ``langgraph.json`` and the environment (spec 19, 22)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Config", "GraphSpec", "HttpConfig"]


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
    """Families not routed: assistants, threads, runs, store, meta."""
    cors: Mapping[str, Any] | None = None
    configurable_headers: Mapping[str, Any] | None = None
    logging_headers: Mapping[str, Any] | None = None
    mount_prefix: str = ""
    disable_webhooks: bool = False
    app: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, with its default."""

    project_dir: Path
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    graph_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    http: HttpConfig = HttpConfig()
    store: Mapping[str, Any] = field(default_factory=dict)
    checkpointer: Mapping[str, Any] = field(default_factory=dict)
    data_dir: Path = Path(".waystation")
    jobs_per_worker: int = 64
    job_timeout_s: float = 86_400
    job_max_retries: int = 3
    shutdown_grace_s: float = 180
    resumable_ttl_s: float = 120
    max_body_bytes: int = 314_572_800
    heartbeat_s: float = 5
    log_level: str = "INFO"
    log_json: bool = False
