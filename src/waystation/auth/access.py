"""Access: who asks and which rows they may see.

Every storage function that touches a user's resource takes an `Access`; it turns into SQL, so that no route can forget it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Delete, Select, Update

__all__ = ["EVERYTHING", "Access"]

S = TypeVar("S", Select[Any], Update, Delete)


@dataclass(frozen=True, slots=True)
class Access:
    """A caller's identity and the rows it may see. Without `filters`, every row."""

    user_id: str | None = None

    def limit(self, statement: S, metadata: ColumnElement[Any]) -> S:
        """`statement` restricted to the rows whose `metadata` column this caller may see."""
        return statement


EVERYTHING = Access()
"""The access of the server itself and of everyone on a server without authentication."""
