"""What is known of an agent beside its files, as its row keeps it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from starlette.requests import Request

from waystation.deepagents.agents.models import AgentFields, Backend, Runtime
from waystation.deepagents.agents.permissions import new_permissions, replaced_permissions
from waystation.deepagents.errors import InvalidAgent
from waystation.deepagents.model_names import fault_of
from waystation.deepagents.timezone import DEFAULT, known_timezone

__all__ = ["CLONED", "given_timezone", "new_settings", "require_model", "updated_settings"]

CLONED = ("description", "runtime", "backend", "configurable")
"""What a copy has from its original."""

TIMEZONE = "x-user-timezone"


def require_model(body: AgentFields, configurations: Collection[str]) -> None:
    """Raises InvalidAgent if the model that the body names cannot be one of this server's."""
    if body.runtime is not None and body.runtime.model is not None:
        fault = fault_of(body.runtime.model.model_id, configurations)
        if fault is not None:
            raise InvalidAgent(f"correct 'runtime.model.model_id': {fault}")


def new_settings(body: AgentFields, timezone: str | None) -> dict[str, Any]:
    """The settings of a new agent."""
    return {"permissions": new_permissions(body.permissions), "user_timezone": timezone or DEFAULT, **_given(body)}


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
    return None if text is None else known_timezone(text)


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
