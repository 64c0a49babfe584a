"""Embedding what was stored under another index, or under none: after `store.index` has changed, and for what a server without
one has written. Such items come last in a search by meaning until then.

One process at a time does it, the one that holds the lease of the generation; a process whose index is not the last one configured
never does, so that two configurations cannot go on replacing each other's vectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from sqlalchemy import BigInteger, Connection, bindparam, exists, or_, select, tuple_, update

from waystation.errors import EmbeddingFailed
from waystation.storage.database import Database
from waystation.storage.sealing import is_readable
from waystation.storage.tables import store_indexes, store_items
from waystation.store.semantic.embedder import Vector
from waystation.store.semantic.index import Index
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["refresh", "refresh_regularly"]

log = structlog.get_logger("waystation.store")

INTERVAL_S = 60
"""Between two looks for items to embed."""

LEASE_S = 300
"""How long a process may take for a batch before another one goes on in its place."""

BATCH = 100
"""Items embedded by one call."""

AT_ONCE = 10
"""Items written by one transaction: on PostgreSQL each vector takes a millisecond or two to index, and others wait."""

_i, _x = store_items.c, store_indexes.c
_later = store_indexes.alias()


class _Outdated(NamedTuple):
    embedded_by: int
    namespace: str
    key: str
    value: Any
    paths: Any
    updated_at: int

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.key


_START = (-1, "", "")

_FIND = (
    select(*(_i[name] for name in _Outdated._fields))
    .where(
        _i.embedded_by < bindparam("generation", type_=BigInteger),
        tuple_(_i.embedded_by, _i.namespace, _i.key)
        > tuple_(
            bindparam("from_generation", type_=BigInteger),
            bindparam("from_namespace", type_=_i.namespace.type),
            bindparam("from_key", type_=_i.key.type),
        ),
        or_(_i.expires_at.is_(None), _i.expires_at > bindparam("now", type_=BigInteger)),
    )
    .order_by(_i.embedded_by, _i.namespace, _i.key)
    .limit(BATCH)
)

_CLAIM = (
    update(store_indexes)
    .where(
        _x.generation == bindparam("of"),
        or_(
            _x.leased_until < bindparam("now", type_=BigInteger), _x.leased_until == bindparam("mine", type_=BigInteger)
        ),
        ~exists().where(_later.c.generation > _x.generation),
    )
    .values(leased_until=bindparam("until", type_=BigInteger))
)

_MARK = (
    update(store_items)
    .where(
        _i.namespace == bindparam("in_namespace", type_=_i.namespace.type),
        _i.key == bindparam("with_key", type_=_i.key.type),
        _i.updated_at == bindparam("seen", type_=BigInteger),
        _i.embedded_by < bindparam("generation", type_=BigInteger),
    )
    .values(embedded_by=bindparam("generation", type_=BigInteger))
)


async def refresh_regularly(db: Database, index: Index) -> None:
    """Embed what has to be, until cancelled."""
    while True:
        try:
            await refresh(db, index)
        except Exception:  # whatever goes wrong this time, the loop has to go on
            log.exception("could not embed what was stored under another index")
        await asyncio.sleep(INTERVAL_S)


async def refresh(db: Database, index: Index) -> int:
    """Embed all items that were not for the index in force, unless another process does; returns how many."""
    start: tuple[int, str, str] = _START
    mine = done = 0
    while items := await db.read(_find, index.generation, start):
        mine = await db.write(_claim, index.generation, mine)
        if not mine:
            return done
        vectors = await _embedded(index, items)
        for first in range(0, len(items), AT_ONCE):
            part = [item for item in items[first : first + AT_ONCE] if item.place in vectors]
            done += await db.write(_store, index, part, vectors)
        start = (items[-1].embedded_by, items[-1].namespace, items[-1].key)
    if mine:
        await db.write(_claim, index.generation, mine, lease_s=0)
        log.info("embedded what was stored under another index", items=done)
    return done


async def _embedded(index: Index, items: Sequence[_Outdated]) -> Mapping[tuple[str, str], Sequence[Vector]]:
    """The vectors of each item, without those that cannot be decrypted. If the embedder refuses some text, all items but those
    with such texts; raises EmbeddingFailed if it refuses all."""
    texts: dict[tuple[str, str], list[str]] = {}
    for item in items:
        if is_readable(item.value):
            texts[item.place] = index.texts(item.value, item.paths)
        else:
            log.warning(
                "an item cannot be embedded", key=item.key, error="the key that it is encrypted with is missing"
            )
    every = list(dict.fromkeys(text for own in texts.values() for text in own))
    try:
        found = dict((await index.embed(every)).documents)
    except EmbeddingFailed:
        found = {}
        for place, own in texts.items():
            try:
                found.update((await index.embed(own)).documents)
            except EmbeddingFailed as error:
                if not found:
                    raise
                log.warning("an item cannot be embedded", key=place[1], error=error.message)
    return {place: [found[text] for text in own] for place, own in texts.items() if all(text in found for text in own)}


def _find(conn: Connection, generation: int, start: tuple[int, str, str]) -> list[_Outdated]:
    from_generation, from_namespace, from_key = start
    parameters = {
        "generation": generation,
        "from_generation": from_generation,
        "from_namespace": from_namespace,
        "from_key": from_key,
        "now": now_us(),
    }
    return [_Outdated._make(row) for row in conn.execute(_FIND, parameters)]


def _claim(conn: Connection, generation: int, mine: int, lease_s: int = LEASE_S) -> int:
    """Take the lease, or keep the one known by `mine`; returns what it is known by from now on, 0 without one."""
    now = now_us()
    until = now + lease_s * MICROSECONDS
    claimed = conn.execute(_CLAIM, {"of": generation, "now": now, "mine": mine or -1, "until": until})
    return until if claimed.rowcount else 0


def _store(
    conn: Connection, index: Index, items: Sequence[_Outdated], vectors: Mapping[tuple[str, str], Sequence[Vector]]
) -> int:
    """Give the items their vectors, but for those that have been written meanwhile."""
    marked = {}
    for item in items:
        parameters = {
            "in_namespace": item.namespace,
            "with_key": item.key,
            "seen": item.updated_at,
            "generation": index.generation,
        }
        if conn.execute(_MARK, parameters).rowcount:
            marked[item.place] = vectors[item.place]
    if marked:
        index.replace(conn, marked)
    return len(marked)
