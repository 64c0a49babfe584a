"""JSON for everything a graph can produce (spec 1.1).

Known objects become JSON as the reference says; unknown ones become ``null`` rather than failing a run.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Mapping, Set
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from re import Pattern
from typing import Any

import orjson
from langgraph.types import Send

__all__ = ["decode", "encode", "pretty", "to_plain"]

_OPTIONS = orjson.OPT_NON_STR_KEYS
_AS_TEXT = (PurePath, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """`value` as JSON bytes, without NUL characters or lone surrogates (PostgreSQL refuses both)."""
    try:
        data = orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:
        data = orjson.dumps(_cleaned(value), default=_default, option=_OPTIONS)
    if b"\\u0000" in data:
        data = orjson.dumps(_without_nul(orjson.loads(data)))
    return data


def decode(data: bytes | str) -> Any:
    """JSON text as Python objects. Raises ValueError."""
    return orjson.loads(data)


def pretty(value: Any) -> str:
    """`value` as JSON text for people to read, with a line end."""
    return orjson.dumps(to_plain(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def to_plain(value: Any) -> Any:
    """`value` as the plain JSON structure (dicts, lists, scalars) that a client would see."""
    return orjson.loads(encode(value))


def _default(value: Any) -> Any:
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return dump()
    if callable(dump := getattr(value, "dict", None)) and not isinstance(value, type):
        return dump()
    if isinstance(value, Send):
        return {"node": value.node, "args": value.arg}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, (set, frozenset, deque, Set, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.is_finite() else float(value)
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, Pattern):
        return value.pattern
    if isinstance(value, BaseException):
        return repr(value)
    return None


def _cleaned(value: Any) -> Any:
    """A copy that orjson accepts: keys as strings, no lone surrogates, integers within 64 bits."""
    if isinstance(value, str):
        return _SURROGATE.sub("?", value)
    if isinstance(value, Mapping):
        return {_cleaned(k if isinstance(k, str) else str(k)): _cleaned(v) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _cleaned(value._asdict())
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [_cleaned(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return _as_float(value)
    try:
        orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        plain = _default(value)
        return None if plain is None else _cleaned(plain)
    return value


def _as_float(value: int) -> float | None:
    """An integer beyond 64 bits as most readers of JSON would take it; None beyond what a float can hold."""
    try:
        return float(value)
    except OverflowError:
        return None


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(k): _without_nul(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nul(v) for v in value]
    return value
