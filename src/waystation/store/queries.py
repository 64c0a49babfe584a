"""The SQL of the store. Namespaces come and go in their stored form (`waystation.store.namespaces`).

An item is there until it expires; sweeping only frees its space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    not_,
    or_,
    select,
    text,
    tuple_,
    update,
)

from waystation.auth.access import Access
from waystation.encoding import decode, encode
from waystation.storage.containment import unindexed
from waystation.storage.json_sql import EncodedJson, JsonSql, json_sql
from waystation.storage.prepared import Prepared
from waystation.storage.sealing import STORE_VALUE, active, require_searchable
from waystation.storage.tables import store_items
from waystation.store.filters import Condition, InvalidFilter, where
from waystation.store.namespaces import subtree_end

__all__ = [
    "ALSO_BELOW",
    "ITEM_COLUMNS",
    "Expiry",
    "ItemRow",
    "Matching",
    "below",
    "delete_items",
    "get_item",
    "items_at",
    "list_namespaces",
    "put_items",
    "search_items",
    "sweep",
    "touch_items",
]


class ItemRow(NamedTuple):
    """An item as stored; times are microseconds since the epoch."""

    namespace: str
    key: str
    value: dict[str, Any]
    created_at: int
    updated_at: int
    ttl_minutes: float | None
    score: float | None = None
    """How near the item is to what was searched for, from -1 to 1."""


class Expiry(NamedTuple):
    """That an item with this time to live is to expire at a time in microseconds since the epoch."""

    namespace: str
    key: str
    ttl_minutes: float
    expires_at: int


_i = store_items.c
ITEM_COLUMNS = (_i.namespace, _i.key, _i.value, _i.created_at, _i.updated_at, _i.ttl_minutes)
"""What an `ItemRow` is made of."""

_LIMIT = bindparam("limit", type_=BigInteger)
_OFFSET = bindparam("offset", type_=BigInteger)

_ALIVE = or_(_i.expires_at.is_(None), _i.expires_at > bindparam("now", type_=BigInteger))


def below(namespace: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the stored `namespace` is at or below that of a `Matching`."""
    return and_(namespace >= bindparam("start", type_=Text), namespace < bindparam("end", type_=Text))


_BELOW = below(_i.namespace)
ALSO_BELOW = below(unindexed(_i.namespace))
"""For `Matching.of`, in a statement that names the items by something else."""
_FROM = _i.namespace >= bindparam("start", type_=Text)
_THIS = and_(_i.namespace == bindparam("in_namespace", type_=Text), _i.key == bindparam("with_key", type_=Text))

_GET = select(*ITEM_COLUMNS).where(_THIS, _ALIVE)
_AT = Prepared(select(*ITEM_COLUMNS).where(_THIS))

_LATEST_FIRST = (_i.updated_at.desc(), _i.namespace, _i.key)
_NAMESPACES = select(_i.namespace).distinct().where(_BELOW, _ALIVE).order_by(_i.namespace).limit(_LIMIT)

_PUT = text(
    """
    INSERT INTO store_items
        (namespace, key, value, created_at, updated_at, ttl_minutes, expires_at, paths, embedded_by)
    VALUES (:namespace, :key, :value, :now, :now, :ttl_minutes, :expires_at, :paths, :embedded_by)
    ON CONFLICT (namespace, key) DO UPDATE SET
        value = excluded.value,
        created_at = CASE WHEN store_items.expires_at <= excluded.created_at
            THEN excluded.created_at ELSE store_items.created_at END,
        updated_at = excluded.updated_at,
        ttl_minutes = excluded.ttl_minutes,
        expires_at = excluded.expires_at,
        paths = excluded.paths,
        embedded_by = excluded.embedded_by
    """
).bindparams(
    bindparam("namespace", type_=Text),
    bindparam("key", type_=Text),
    bindparam("value", type_=EncodedJson),
    bindparam("now", type_=BigInteger),
    bindparam("ttl_minutes", type_=Float),
    bindparam("expires_at", type_=BigInteger),
    bindparam("paths", type_=EncodedJson),
    bindparam("embedded_by", type_=BigInteger),
)
"""One text for both dialects, whose `insert` constructs differ. An expired item counts as absent: it is created anew."""

_DELETE = delete(store_items).where(_THIS)

_TOUCH = (
    update(store_items)
    .where(
        _THIS,
        _i.ttl_minutes == bindparam("ttl", type_=Float),
        _i.expires_at > bindparam("now", type_=BigInteger),
        _i.expires_at < bindparam("until", type_=BigInteger),
    )
    .values(expires_at=bindparam("until", type_=BigInteger))
)

_EXPIRED = _i.expires_at <= bindparam("now", type_=BigInteger)
_SWEEP = delete(store_items).where(
    _EXPIRED,
    tuple_(_i.namespace, _i.key).in_(
        select(_i.namespace, _i.key)
        .where(_EXPIRED)
        .order_by(_i.expires_at)
        .limit(bindparam("limit", type_=BigInteger))
        .with_for_update(skip_locked=True)
    ),
)
"""Several processes may sweep at once; an item that is being written is passed over, for it lives on."""


def get_item(conn: Connection, namespace: str, key: str, now: int, access: Access) -> ItemRow | None:
    """The item, unless there is none or it has expired."""
    row = conn.execute(
        access.limit(_GET, _i.value), {"in_namespace": namespace, "with_key": key, "now": now}
    ).one_or_none()
    return None if row is None else ItemRow(*row)


class Matching:
    """The items at or below the namespace `prefix` that meet all `conditions`, as far as `access` may see them."""

    def __init__(self, prefix: str, conditions: Sequence[Condition], now: int, access: Access) -> None:
        self._conditions = tuple(conditions)
        self._access = access
        self.parameters: dict[str, Any] = {"start": prefix, "end": subtree_end(prefix), "now": now}
        """What the statements of `of` need."""

    def of(self, conn: Connection, statement: Select[Any], below: ColumnElement[bool] = _BELOW) -> Select[Any]:
        """`statement`, which selects from `store_items` among others, restricted to these items. One that finds them by something
        better than their namespace says so by `below`."""
        json = json_sql(conn.dialect.name)
        return self._limited(statement, below).where(*(_condition(json, condition) for condition in self._conditions))

    def require_comparable(self, conn: Connection) -> None:
        """Raise UnprocessableInput for a condition on what is encrypted, and InvalidFilter if one of these items holds something
        else than a number where one is compared."""
        require_searchable(_i.value, _wanted(self._conditions))
        ordered = {condition.path for condition in self._conditions if condition.test in _ORDERS}
        if not ordered:
            return
        json = json_sql(conn.dialect.name)
        others = [_condition(json, condition) for condition in self._conditions if condition.test not in _ORDERS]
        for path in ordered:
            wrong = not_(or_(json.is_number(_i.value, path), json.equals(_i.value, path, None)))
            query = self._limited(select(_i.key)).where(wrong, *others).limit(1)
            found = conn.execute(query, self.parameters).first()
            if found is not None:
                raise InvalidFilter(
                    f"The filter compares numbers, but {where(path)!r} of the item {found.key!r} is not one."
                )

    def _limited(self, statement: Select[Any], below: ColumnElement[bool] = _BELOW) -> Select[Any]:
        return self._access.limit(statement.where(below, _ALIVE), _i.value)


def search_items(
    conn: Connection, matching: Matching, limit: int, offset: int, without: ColumnElement[bool] | None = None
) -> list[ItemRow]:
    """The `matching` items, except those `without` is true of, the latest update first."""
    statement = matching.of(conn, select(*ITEM_COLUMNS)).order_by(*_LATEST_FIRST).limit(_LIMIT).offset(_OFFSET)
    if without is not None:
        statement = statement.where(not_(without))
    return [ItemRow(*row) for row in conn.execute(statement, {**matching.parameters, "limit": limit, "offset": offset})]


def items_at(conn: Connection, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ItemRow]:
    """Those of the items, given as namespace and key, that exist, for a caller who has checked that they may be seen."""
    asked = [_AT.ask(conn, {"in_namespace": namespace, "with_key": key}) for namespace, key in places]
    return {(row.namespace, row.key): ItemRow(*row) for each in asked for row in each.rows()}


def list_namespaces(conn: Connection, start: str, end: str, limit: int, now: int, access: Access) -> list[str]:
    """The first `limit` namespaces that hold items, in order, from `start` on and before `end`."""
    parameters = {"now": now, "limit": limit, "start": start, "end": end}
    return list(conn.execute(access.limit(_NAMESPACES, _i.value), parameters).scalars())


def put_items(conn: Connection, items: Sequence[dict[str, Any]], now: int) -> None:
    """Store each item: ``namespace``, ``key``, ``value`` (JSON text), ``ttl_minutes``, ``expires_at``, ``paths`` (JSON text or
    None) and ``embedded_by``."""
    conn.execute(_PUT, [{**item, "value": _sealed(item["value"]), "now": now} for item in items])


def _sealed(text: str) -> str:
    """What the type of the column would store, had it not been encoded already."""
    seals = active()
    return text if seals is None else encode(seals.seal_json(STORE_VALUE, decode(text))).decode()


def delete_items(conn: Connection, items: Sequence[tuple[str, str]], access: Access) -> None:
    """Delete the items, given as namespace and key, as far as they exist."""
    parameters = [{"in_namespace": namespace, "with_key": key} for namespace, key in items]
    conn.execute(access.limit(_DELETE, _i.value), parameters)


def touch_items(conn: Connection, items: Sequence[Expiry], now: int) -> None:
    """Let the items live longer; items that are gone by `now`, or have got another time to live, stay as they are."""
    parameters = [
        {"in_namespace": namespace, "with_key": key, "ttl": ttl, "until": expires_at, "now": now}
        for namespace, key, ttl, expires_at in items
    ]
    conn.execute(_TOUCH, parameters)


def sweep(conn: Connection, now: int, limit: int) -> int:
    """Delete at most `limit` expired items, the longest expired first; returns how many."""
    return conn.execute(_SWEEP, {"now": now, "limit": limit}).rowcount


def _wanted(conditions: Sequence[Condition]) -> dict[str, Any]:
    """The keys that the conditions name, as an object that has them all."""
    wanted: dict[str, Any] = {}
    for condition in conditions:
        keys = [step for step in condition.path if isinstance(step, str)]
        inner = wanted
        for key in keys[:-1]:
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        inner.setdefault(keys[-1], condition.operand)
    return wanted


_ORDERS = frozenset({"gt", "gte", "lt", "lte"})


def _condition(json: JsonSql, condition: Condition) -> ColumnElement[bool]:
    path, test, operand = condition
    match test:
        case "equal":
            return json.equals(_i.value, path, operand)
        case "unequal":
            return not_(json.equals(_i.value, path, operand))
        case "object":
            return json.is_object(_i.value, path)
        case "array":
            return json.is_array(_i.value, path, operand)
        case "gt" | "gte" | "lt" | "lte":
            return json.ordered(_i.value, path, test, operand)
