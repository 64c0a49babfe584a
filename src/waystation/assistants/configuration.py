"""``config.configurable`` and ``context``: two names for one thing, kept in step (spec 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.errors import BadInput

__all__ = ["in_step", "replaced"]


def in_step(config: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config` and `context` with each filled in from the other. Raises BadInput when both say something."""
    configurable = config.get("configurable")
    if configurable and context:
        raise BadInput("Both config.configurable and context are given; use only one of them.")
    if configurable:
        return dict(config), dict(configurable)
    if context:
        return {**config, "configurable": dict(context)}, dict(context)
    return dict(config), {}


def replaced(
    current: tuple[Mapping[str, Any], Mapping[str, Any]],
    config: Mapping[str, Any] | None,
    context: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `current` (config, context) of an assistant after a patch (spec 2.3).

    A non-empty `config` replaces the whole config, a `context` that is not None replaces the context and, in the config,
    the configurable. Raises BadInput when both say something.
    """
    new_config, new_context = in_step(config or {}, context or {})
    old_config, old_context = current
    if not config:
        if context is None:
            return dict(old_config), dict(old_context)
        kept = {key: value for key, value in old_config.items() if key != "configurable"}
        return {**kept, **new_config}, new_context
    if context is None and not new_context:
        return new_config, dict(old_context)
    return new_config, new_context
