"""What is configured but not supported: nothing that a user asked for is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog

from waystation.config.model import Config
from waystation.config.project import Project
from waystation.config.settings import parse
from waystation.config.values import switch
from waystation.errors import ConfigError

__all__ = ["announce", "unsupported"]

log = structlog.get_logger("waystation.config")

_REFUSED = frozenset({"LANGGRAPH_AUTH_TYPE", "REDIS_CLUSTER"})
"""What a server must not start without when it is asked for: it would be open, or lose every event."""


def unsupported(project: Project, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the keys and variables set to something that this server does not do. Raises ConfigError."""
    return (*_keys(project), *_variables(variables))


def _keys(project: Project) -> Iterator[str]:
    for name in ("priority", "ui", "ui_config"):
        if getattr(project, name):
            yield name
    if project.auth is not None and project.auth.allow_langsmith_api_keys:
        yield "auth.allow_langsmith_api_keys"
    if project.checkpointer.backend != "default":
        yield "checkpointer.backend"
    if project.checkpointer.path is not None:
        yield "checkpointer.path"
    if project.checkpointer.serde:
        yield "checkpointer.serde"


def _variables(variables: Mapping[str, str]) -> Iterator[str]:
    if variables.get("LANGGRAPH_AUTH_TYPE", "").strip().lower() not in ("", "noop", "none", "custom"):
        yield "LANGGRAPH_AUTH_TYPE"
    a2ui = variables.get("A2A_A2UI_ENABLED", "").strip()
    if a2ui and parse("A2A_A2UI_ENABLED", a2ui, switch):
        yield "A2A_A2UI_ENABLED"
    cluster = variables.get("REDIS_CLUSTER", "").strip()
    if cluster and parse("REDIS_CLUSTER", cluster, switch):
        yield "REDIS_CLUSTER"


def announce(config: Config) -> None:
    """Say at start-up what of `config` has no effect. Raises ConfigError when starting without it would do harm."""
    refused = [name for name in config.unsupported if name in _REFUSED]
    if refused:
        raise ConfigError(
            f"This server does not support {', '.join(refused)} and does not start as if it were not asked for; "
            "remove the setting to run without it."
        )
    for name in config.unsupported:
        log.warning("configured but not supported, has no effect", setting=name)
    for notice in config.notices:
        log.warning("configuration", notice=notice)
