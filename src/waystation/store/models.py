"""The wire shapes of the store (spec 10)."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.store.base import Item
from pydantic import Field

from waystation.http.bodies import Body

__all__ = [
    "ITEM",
    "ITEMS",
    "ITEM_PARAMETERS",
    "NAMESPACES",
    "StoreDeleteRequest",
    "StoreListNamespacesRequest",
    "StorePutRequest",
    "StoreSearchRequest",
    "item_json",
]


UNLIMITED = 2**31 - 1
"""A depth that no namespace has."""


class StorePutRequest(Body):
    """An item to store. `ttl` is in minutes; absent means the configured default, ``null`` that the item stays."""

    namespace: list[str]
    key: str
    value: dict[str, Any]
    index: Literal[False] | list[str] | None = None
    ttl: float | None = Field(default=None, gt=0)


class StoreDeleteRequest(Body):
    """The item to delete."""

    namespace: list[str] = Field(default_factory=list)
    key: str


class StoreSearchRequest(Body):
    """A search at and below a namespace, by default of everything."""

    namespace_prefix: list[str] | None = None
    filter: dict[str, Any] | None = None
    limit: int = Field(default=10, ge=0)
    offset: int = Field(default=0, ge=0)
    query: str | None = None
    refresh_ttl: bool | None = None


class StoreListNamespacesRequest(Body):
    """Which namespaces to list; ``*`` in a prefix or suffix is any one label."""

    prefix: list[str] = Field(default_factory=list)
    suffix: list[str] = Field(default_factory=list)
    max_depth: int = Field(default=UNLIMITED, ge=1)
    limit: int = Field(default=100, ge=0)
    offset: int = Field(default=0, ge=0)


ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["namespace", "key", "value", "created_at", "updated_at"],
    "properties": {
        "namespace": {"type": "array", "items": {"type": "string"}},
        "key": {"type": "string"},
        "value": {"type": "object"},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}
ITEM_PARAMETERS = [
    {"name": "key", "in": "query", "required": True, "schema": {"type": "string"}},
    {
        "name": "namespace",
        "in": "query",
        "required": True,
        "description": "The labels joined by dots, or one parameter for each.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {"name": "refresh_ttl", "in": "query", "required": False, "schema": {"type": "boolean"}},
]
ITEMS: dict[str, Any] = {
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {
            "type": "array",
            "items": {**ITEM, "properties": {**ITEM["properties"], "score": {"type": ["number", "null"]}}},
        }
    },
}
NAMESPACES: dict[str, Any] = {
    "type": "object",
    "required": ["namespaces"],
    "properties": {"namespaces": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}},
}


def item_json(item: Item) -> dict[str, Any]:
    """An item on the wire; a found item (`SearchItem`) has its ``score`` too."""
    return item.dict() | {
        "created_at": item.created_at.isoformat(timespec="microseconds"),
        "updated_at": item.updated_at.isoformat(timespec="microseconds"),
    }
