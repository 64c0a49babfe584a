"""``extract``: single values picked out of found threads (spec 3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from waystation.errors import UnprocessableInput
from waystation.threads.wire import FIELDS

__all__ = ["MOST", "Extraction", "parse_extract", "picked"]

MOST = 10
"""Paths in one request."""

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"([^.\[\]]+)((?:\.[^.\[\]]+|\[-?\d{1,9}\])*)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?\d+)\]")
_ROOTS = ("values", "metadata", "config", "interrupts")
_TAKEN = frozenset({*FIELDS, "ttl", "extracted"})


class Extraction(Struct, frozen=True):
    """`alias` is to hold what is found in the thread's `root` by following `steps`."""

    alias: str
    root: str
    steps: tuple[str | int, ...]


def parse_extract(extract: Mapping[str, str]) -> list[Extraction]:
    """The extractions that a request asks for. Raises UnprocessableInput."""
    if len(extract) > MOST:
        raise UnprocessableInput(f"extract: {len(extract)} paths; at most {MOST} are possible.")
    return [_extraction(alias, path) for alias, path in extract.items()]


def picked(extractions: Sequence[Extraction], documents: Mapping[str, Any]) -> dict[str, Any]:
    """``{alias: value}`` from `documents`, the decoded roots; null for what is not there."""
    return {e.alias: _follow(documents[e.root], e.steps) for e in extractions}


def _extraction(alias: str, path: str) -> Extraction:
    if not _ALIAS.fullmatch(alias):
        raise UnprocessableInput(f"extract: the alias {alias!r} is not a name of letters, digits and underscores.")
    if alias in _TAKEN:
        raise UnprocessableInput(f"extract: the alias {alias!r} is the name of a field of the thread.")
    match = _PATH.fullmatch(path)
    if match is None:
        raise UnprocessableInput(f"extract: {path!r} is not a path such as values.messages[-1].content.")
    root, rest = match.groups()
    if root not in _ROOTS:
        raise UnprocessableInput(f"extract: the path {path!r} must begin with one of {', '.join(_ROOTS)}.")
    steps = tuple(key or int(index) for key, index in _STEP.findall(rest))
    return Extraction(alias, root, steps)


def _follow(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif not isinstance(value, dict) or step.startswith("_") or step not in value:
            return None
        else:
            value = value[step]
    return value
