"""What is known of an agent beside its files, as its row keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request

from waystation.deepagents.agents.models import AgentFields, Backend, Runtime
from waystation.deepagents.agents.permissions import new_permissions, replaced_permissions

__all__ = ["CLONED", "UTC", "given_timezone", "new_settings", "updated_settings"]

UTC = "UTC"

CLONED = ("description", "runtime", "backend", "configurable")
"""What a copy has from its original."""

TIMEZONE = "x-user-timezone"


def new_settings(body: AgentFields, timezone: str | None) -> dict[str, Any]:
    """The settings of a new agent."""
    return {"permissions": new_permissions(body.permissions), "user_timezone": timezone or UTC, **_given(body)}


def updated_settings(before: Mapping[str, Any], body: AgentFields, timezone: str | None) -> dict[str, Any]:
    """`before` with what `body` gives in place of it. Raises InvalidAgent."""
    changed = {**before, **_given(body)}
    if body.permissions is not None:
        changed["permissions"] = replaced_permissions(before["permissions"], body.permissions)
    if timezone is not None:
        changed["user_timezone"] = timezone
    return changed


def given_timezone(request: Request) -> str | None:
    """The caller's time zone: None if nothing is said of it, UTC for what is not one (MDA 8)."""
    text = request.headers.get(TIMEZONE)
    if text is None:
        return None
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError):  # unknown, empty, or a path
        return UTC


def _given(body: AgentFields) -> dict[str, Any]:
    plain = {
        "description": body.description,
        "runtime": _plain(body.runtime),
        "backend": _plain(body.backend),
        "extras": body.extras,
        "configurable": body.configurable,
    }
    return {name: value for name, value in plain.items() if value is not None}


def _plain(model: Runtime | Backend | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(exclude_none=True)
