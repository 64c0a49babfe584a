"""A batch of store operations, checked and ready to run in one transaction.

Reads see the store as it was before the batch, then the puts are applied, the last one of each item: what LangGraph's own
stores do. Everything that does not need the database (validation, encoding) happens when the batch is made, on the
caller's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import BadInput
from waystation.store import queries
from waystation.store.filters import Condition, parse_filter
from waystation.store.namespaces import (
    after,
    decode_namespace,
    encode_namespace,
    literal_head,
    matches,
    subtree_end,
)
from waystation.timestamps import MICROSECONDS

__all__ = ["Batch", "Outcome"]

LARGEST = 2**62
"""Limits, offsets and times are cut to this: it fits a 64-bit column, and nothing reaches it."""

NAMESPACES_AT_FIRST = 20
NAMESPACES_AT_ONCE = 500
"""Namespaces fetched by the first and, doubling up to it, by a later statement while listing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(NamedTuple):
    """The results in the order of the operations, and what remains to be written after a batch that only reads."""

    results: list[Result]
    prolonged: list[queries.Expiry]
    """The new expiry of items whose time to live starts anew because they were read."""


@dataclass(frozen=True, slots=True)
class _Get:
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


@dataclass(frozen=True, slots=True)
class _Search:
    prefix: str
    conditions: tuple[Condition, ...]
    limit: int
    offset: int
    refresh: bool

    def run(self, conn: Connection, now: int, access: Access, prolonged: list[queries.Expiry]) -> list[SearchItem]:
        rows = queries.search_items(conn, self.prefix, self.conditions, self.limit, self.offset, now, access)
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
            )
            for row in rows
        ]


@dataclass(frozen=True, slots=True)
class _List:
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


class Batch:
    """Checked operations within the namespaces below `root`. Raises BadInput, or InvalidNamespaceError (a ValueError), when one is not possible."""

    def __init__(self, ops: Iterable[Op], root: str) -> None:
        self._root = root
        self._reads: list[tuple[int, _Get | _Search | _List]] = []
        self._puts: dict[tuple[str, str], PutOp] = {}
        self._values: dict[tuple[str, str], str] = {}
        self.size = 0
        for op in ops:
            self._add(op)
            self.size += 1

    @property
    def writes(self) -> bool:
        """Whether the batch changes items."""
        return bool(self._puts)

    def run(self, conn: Connection, now: int, access: Access) -> Outcome:
        """Carry out the batch at the time `now` (microseconds). Without puts it only reads."""
        results: list[Result] = [None] * self.size
        prolonged: list[queries.Expiry] = []
        for position, read in self._reads:
            results[position] = read.run(conn, now, access, prolonged)
        if not self._puts:
            return Outcome(results, prolonged)
        if prolonged:
            queries.touch_items(conn, prolonged, now)
        self._write(conn, now, access)
        return Outcome(results, [])

    def _add(self, op: Op) -> None:
        if isinstance(op, GetOp):
            read: _Get | _Search | _List = _Get(self._encoded(op.namespace), _key(op.key), op.refresh_ttl)
        elif isinstance(op, SearchOp):
            limit, offset = _page(op.limit, op.offset)
            prefix = self._encoded(op.namespace_prefix)
            read = _Search(prefix, parse_filter(op.filter), limit, offset, op.refresh_ttl)
        elif isinstance(op, ListNamespacesOp):
            read = _listing(self._root, op)
        elif isinstance(op, PutOp):
            self._add_put(op)
            return
        else:
            raise BadInput(f"The store has no operation {type(op).__name__}.")
        self._reads.append((self.size, read))

    def _add_put(self, op: PutOp) -> None:
        place = self._encoded(op.namespace), _key(op.key)
        if op.value is None:
            self._values.pop(place, None)
        else:
            if not isinstance(op.value, Mapping):
                raise BadInput(f"The value of a store item must be an object, not {type(op.value).__name__}.")
            _require_lifetime(op.ttl)
            self._values[place] = encode(op.value).decode()
        self._puts[place] = op

    def _encoded(self, namespace: Sequence[str]) -> str:
        return self._root + encode_namespace(namespace)

    def _write(self, conn: Connection, now: int, access: Access) -> None:
        items = [
            {
                "namespace": namespace,
                "key": key,
                "value": self._values[namespace, key],
                "ttl_minutes": op.ttl,
                "expires_at": None if op.ttl is None else _expiry(now, op.ttl),
            }
            for (namespace, key), op in self._puts.items()
            if op.value is not None
        ]
        gone = [place for place, op in self._puts.items() if op.value is None]
        if items:
            queries.put_items(conn, items, now)
        if gone:
            queries.delete_items(conn, gone, access)


def _seen(stored: str) -> tuple[str, ...]:
    """The labels of a stored namespace as those see them who are in its workspace."""
    return decode_namespace(stored)[1:]


def _listing(root: str, op: ListNamespacesOp) -> _List:
    conditions = tuple(op.match_conditions or ())
    for condition in conditions:
        if condition.match_type not in ("prefix", "suffix"):
            raise BadInput(f"Unknown match type {condition.match_type!r}: there are 'prefix' and 'suffix'.")
        encode_namespace(condition.path)
    if op.max_depth is not None and op.max_depth < 1:
        raise BadInput(f"max_depth must be at least 1, not {op.max_depth}.")
    limit, offset = _page(op.limit, op.offset)
    return _List(root, conditions, op.max_depth, limit, offset)


def _page(limit: int, offset: int) -> tuple[int, int]:
    if limit < 0 or offset < 0:
        raise BadInput(f"limit and offset must not be negative; they are {limit} and {offset}.")
    return min(limit, LARGEST), min(offset, LARGEST)


def _key(key: Any) -> str:
    text = str(key)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"The key {text!r} is not valid Unicode text.") from None
    if "\0" in text:
        raise BadInput(f"The key {text!r} contains a NUL character.")
    return text


def _require_lifetime(minutes: float | None) -> None:
    if minutes is None:
        return
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not minutes > 0:
        raise BadInput(f"ttl must be a number of minutes greater than 0, not {minutes!r}.")


def _prolong(row: queries.ItemRow, now: int, prolonged: list[queries.Expiry]) -> None:
    if row.ttl_minutes is not None:
        prolonged.append(queries.Expiry(row.namespace, row.key, row.ttl_minutes, _expiry(now, row.ttl_minutes)))


def _expiry(now: int, minutes: float) -> int:
    return now + int(min(minutes * 60 * MICROSECONDS, LARGEST - now))


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
