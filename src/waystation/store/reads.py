"""What a batch reads: items by name, items that match, namespaces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from langgraph.store.base import Item, ListNamespacesOp, MatchCondition, SearchItem
from msgspec import Struct
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.errors import BadInput
from waystation.store import queries
from waystation.store.filters import Condition
from waystation.store.namespaces import (
    after,
    decode_namespace,
    encode_namespace,
    literal_head,
    matches,
    subtree_end,
)
from waystation.timestamps import MICROSECONDS

__all__ = ["Get", "Listing", "Nearest", "Search", "expiry", "listing", "page"]

LARGEST = 2**62
"""Limits, offsets and times are cut to this: it fits a 64-bit column, and nothing reaches it."""

NAMESPACES_AT_FIRST = 20
NAMESPACES_AT_ONCE = 500
"""Namespaces fetched by the first and, doubling up to it, by a later statement while listing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Nearest(Protocol):
    """A page of the matching items, those most like what is searched for first."""

    def __call__(
        self, conn: Connection, matching: queries.Matching, limit: int, offset: int
    ) -> list[queries.ItemRow]: ...


class Get(Struct, frozen=True):
    """The item of one name."""

    namespace: str
    key: str
    refresh: bool

    def run(self, conn: Connection, now: int, access: Access, prolonged: list[queries.Expiry]) -> Item | None:
        row = queries.get_item(conn, self.namespace, self.key, now, access)
        if row is None:
            return None
        if self.refresh:
            _prolong(row, now, prolonged)
        return Item(
            value=row.value,
            key=row.key,
            namespace=_seen(row.namespace),
            created_at=_moment(row.created_at),
            updated_at=_moment(row.updated_at),
        )


class Search(Struct, frozen=True):
    """The items that match, and which of them are nearest to `query` if there is an index to tell."""

    prefix: str
    conditions: tuple[Condition, ...]
    limit: int
    offset: int
    refresh: bool
    query: str | None = None

    def run(
        self,
        conn: Connection,
        now: int,
        access: Access,
        prolonged: list[queries.Expiry],
        nearest: Nearest | None = None,
    ) -> list[SearchItem]:
        matching = queries.Matching(self.prefix, self.conditions, now, access)
        matching.require_comparable(conn)
        if nearest is None:
            rows = queries.search_items(conn, matching, self.limit, self.offset)
        else:
            rows = nearest(conn, matching, self.limit, self.offset)
        if self.refresh:
            for row in rows:
                _prolong(row, now, prolonged)
        return [
            SearchItem(
                _seen(row.namespace),
                row.key,
                row.value,
                created_at=_moment(row.created_at),
                updated_at=_moment(row.updated_at),
                score=row.score,
            )
            for row in rows
        ]


class Listing(Struct, frozen=True):
    """The namespaces that match, cut to `max_depth` labels."""

    root: str
    conditions: tuple[MatchCondition, ...]
    max_depth: int | None
    limit: int
    offset: int

    def run(self, conn: Connection, now: int, access: Access, _: list[queries.Expiry]) -> list[tuple[str, ...]]:
        """Walk the namespaces in order, past whole subtrees once `max_depth` has cut them off, until the page is full."""
        head = self.root + encode_namespace(literal_head(self.conditions))
        end = subtree_end(head)
        start = head
        found: list[tuple[str, ...]] = []
        wanted = self.offset + self.limit
        size = NAMESPACES_AT_FIRST
        while len(found) < wanted:
            stored = queries.list_namespaces(conn, start, end, size, now, access)
            for text in stored:
                namespace = _seen(text)
                if matches(self.conditions, namespace):
                    cut = namespace[: self.max_depth]
                    if not found or found[-1] != cut:
                        found.append(cut)
            if len(stored) < size:
                break
            start = self._next(stored[-1], found)
            size = min(2 * size, NAMESPACES_AT_ONCE)
        return found[self.offset : wanted]

    def _next(self, last: str, found: list[tuple[str, ...]]) -> str:
        """Where to go on after `last`: beyond everything that would be cut to what has just been found."""
        if self.max_depth is not None and found:
            cut = _seen(last)[: self.max_depth]
            if cut == found[-1] and len(cut) == self.max_depth:
                return subtree_end(self.root + encode_namespace(cut))
        return after(last)


def _seen(stored: str) -> tuple[str, ...]:
    """The labels of a stored namespace as those see them who are in its workspace."""
    return decode_namespace(stored)[1:]


def listing(root: str, op: ListNamespacesOp) -> Listing:
    """The checked form of `op` below `root`. Raises BadInput, or InvalidNamespaceError (a ValueError)."""
    conditions = tuple(op.match_conditions or ())
    for condition in conditions:
        if condition.match_type not in ("prefix", "suffix"):
            raise BadInput(f"Unknown match type {condition.match_type!r}: there are 'prefix' and 'suffix'.")
        encode_namespace(condition.path)
    if op.max_depth is not None and op.max_depth < 1:
        raise BadInput(f"max_depth must be at least 1, not {op.max_depth}.")
    limit, offset = page(op.limit, op.offset)
    return Listing(root, conditions, op.max_depth, limit, offset)


def page(limit: int, offset: int) -> tuple[int, int]:
    """Both as the database can have them. Raises BadInput."""
    if limit < 0 or offset < 0:
        raise BadInput(f"limit and offset must not be negative; they are {limit} and {offset}.")
    return min(limit, LARGEST), min(offset, LARGEST)


def _prolong(row: queries.ItemRow, now: int, prolonged: list[queries.Expiry]) -> None:
    if row.ttl_minutes is not None:
        prolonged.append(queries.Expiry(row.namespace, row.key, row.ttl_minutes, expiry(now, row.ttl_minutes)))


def expiry(now: int, minutes: float) -> int:
    """When something expires that may live so long, in microseconds since the epoch."""
    return now + int(min(minutes * 60 * MICROSECONDS, LARGEST - now))


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
