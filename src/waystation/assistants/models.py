"""Request bodies of the assistants routes (contract: Assistant*)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from waystation.http.bodies import Body
from waystation.runs.models import RunConfig

__all__ = [
    "AssistantCount",
    "AssistantCreate",
    "AssistantField",
    "AssistantPatch",
    "AssistantSearch",
    "AssistantSortBy",
    "VersionChange",
    "VersionsSearch",
]

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]
AssistantSortBy = Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"]


LONGEST_NAME_FILTER = 1000
"""Characters; SQLite refuses patterns beyond 50,000 bytes, of which escaping may take two for one."""


class AssistantCreate(Body):
    """``AssistantCreate``."""

    graph_id: str
    assistant_id: str | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    name: str | None = None
    description: str | None = None


class AssistantPatch(Body):
    """``AssistantPatch``: what is absent or null stays as it is."""

    graph_id: str | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None


class AssistantCount(Body):
    """``AssistantCountRequest``: the filters, all of which must match."""

    metadata: dict[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = Field(None, max_length=LONGEST_NAME_FILTER)


class AssistantSearch(AssistantCount):
    """``AssistantSearchRequest``."""

    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**62)
    sort_by: AssistantSortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[AssistantField] | None = None


class VersionsSearch(Body):
    """``AssistantVersionsSearchRequest``."""

    metadata: dict[str, Any] | None = None
    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**62)


class VersionChange(Body):
    """``AssistantVersionChange``."""

    version: int | None = Field(None, ge=-(2**63), lt=2**63)
