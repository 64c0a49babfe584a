"""A batch of store operations, checked and ready to run.

Reads see the store as it was before the batch, then the puts are applied, the last one of each item: what LangGraph's own
stores do. Everything that does not need the database (validation, encoding) happens when the batch is made, on the
caller's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, Result, SearchOp
from sqlalchemy import Connection

from waystation.auth.access import Access
from waystation.encoding import decode, encode
from waystation.errors import BadInput
from waystation.store import queries
from waystation.store.filters import parse_filter
from waystation.store.namespaces import encode_namespace
from waystation.store.reads import Get, Listing, Search, expiry, listing, page
from waystation.store.semantic.index import Embedded, Index

__all__ = ["Batch", "Outcome"]

Place = tuple[str, str]
"""Namespace, in its stored form, and key of an item."""


class Outcome(NamedTuple):
    """The results in the order of the operations, and what remains to be written after a batch that only reads."""

    results: list[Result]
    prolonged: list[queries.Expiry]
    """The new expiry of items whose time to live starts anew because they were read."""


class Batch:
    """Checked operations within the namespaces below `root`. Raises BadInput, or InvalidNamespaceError (a ValueError), when one is not possible.

    With an `index` the texts in `documents` and `questions` have to be embedded before it runs. Without `by_meaning` nobody may ever
    embed what is stored.
    """

    def __init__(self, ops: Iterable[Op], root: str, index: Index | None = None, *, by_meaning: bool = True) -> None:
        self._root = root
        self._index = index
        self._by_meaning = by_meaning
        self._reads: list[tuple[int, Get | Search | Listing]] = []
        self._puts: dict[Place, PutOp] = {}
        self._values: dict[Place, str] = {}
        self._texts: dict[Place, list[str]] = {}
        self.embedded = Embedded()
        """The vectors of `documents` and `questions`."""
        self.size = 0
        for op in ops:
            self._add(op)
            self.size += 1

    @property
    def writes(self) -> bool:
        """Whether the batch changes items."""
        return bool(self._puts)

    @property
    def documents(self) -> list[str]:
        """The texts of the items to store, each once."""
        return list(dict.fromkeys(text for texts in self._texts.values() for text in texts))

    @property
    def questions(self) -> list[str]:
        """What is searched for by meaning, each once."""
        if self._index is None:
            return []
        return list(dict.fromkeys(read.query for _, read in self._reads if isinstance(read, Search) and read.query))

    def run(self, conn: Connection, now: int, access: Access) -> Outcome:
        """Carry out the batch at the time `now` (microseconds). Without puts it only reads."""
        outcome = self.read(conn, now, access)
        if not self._puts:
            return outcome
        self.write(conn, now, access, outcome.prolonged)
        return Outcome(outcome.results, [])

    def read(self, conn: Connection, now: int, access: Access) -> Outcome:
        """The part of `run` that only reads."""
        results: list[Result] = [None] * self.size
        prolonged: list[queries.Expiry] = []
        for position, read in self._reads:
            if self._index is not None and isinstance(read, Search) and read.query:
                nearest = partial(self._index.search, self.embedded.queries[read.query])
                results[position] = read.run(conn, now, access, prolonged, nearest)
            else:
                results[position] = read.run(conn, now, access, prolonged)
        return Outcome(results, prolonged)

    def write(self, conn: Connection, now: int, access: Access, prolonged: Sequence[queries.Expiry]) -> None:
        """The part of `run` that writes, after what it has read."""
        if prolonged:
            queries.touch_items(conn, prolonged, now)
        kept = {place: op for place, op in self._puts.items() if op.value is not None}
        gone = [place for place, op in self._puts.items() if op.value is None]
        if kept:
            queries.put_items(conn, [self._row(place, op, now) for place, op in kept.items()], now)
            if self._index is not None:
                vectors = self.embedded.documents
                self._index.replace(
                    conn, {place: [vectors[text] for text in self._texts.get(place, ())] for place in kept}
                )
        if gone:
            queries.delete_items(conn, gone, access)

    def _add(self, op: Op) -> None:
        if isinstance(op, GetOp):
            read: Get | Search | Listing = Get(self._encoded(op.namespace), _key(op.key), op.refresh_ttl)
        elif isinstance(op, SearchOp):
            limit, offset = page(op.limit, op.offset)
            prefix = self._encoded(op.namespace_prefix)
            read = Search(prefix, parse_filter(op.filter), limit, offset, op.refresh_ttl, op.query)
        elif isinstance(op, ListNamespacesOp):
            read = listing(self._root, op)
        elif isinstance(op, PutOp):
            self._add_put(op)
            return
        else:
            raise BadInput(f"The store has no operation {type(op).__name__}.")
        self._reads.append((self.size, read))

    def _add_put(self, op: PutOp) -> None:
        place = self._encoded(op.namespace), _key(op.key)
        self._texts.pop(place, None)
        if op.value is None:
            self._values.pop(place, None)
        else:
            if not isinstance(op.value, Mapping):
                raise BadInput(f"The value of a store item must be an object, not {type(op.value).__name__}.")
            _require_lifetime(op.ttl)
            _require_paths(op.index)
            self._values[place] = encode(op.value).decode()
            if self._index is not None and (texts := self._index.texts(decode(self._values[place]), op.index)):
                self._texts[place] = texts
        self._puts[place] = op

    def _encoded(self, namespace: Sequence[str]) -> str:
        return self._root + encode_namespace(namespace)

    def _row(self, place: Place, op: PutOp, now: int) -> dict[str, Any]:
        namespace, key = place
        paths = op.index if self._by_meaning else False
        return {
            "namespace": namespace,
            "key": key,
            "value": self._values[place],
            "ttl_minutes": op.ttl,
            "expires_at": None if op.ttl is None else expiry(now, op.ttl),
            "paths": None if paths is None else encode(paths).decode(),
            "embedded_by": 0 if self._index is None else self._index.generation,
        }


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


def _require_paths(index: Any) -> None:
    if index is None or index is False:
        return
    if not isinstance(index, list | tuple) or not all(isinstance(path, str) for path in index):
        raise BadInput(f"index must be a list of JSON paths, False or None, not {index!r}.")
