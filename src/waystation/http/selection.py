"""Which headers a configuration selects (spec 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["selects"]


def selects(selection: Mapping[str, Any], name: str) -> bool:
    """Whether the header `name`, in lower case, is among the ``includes`` of `selection` and not among its ``excludes``. Both are
    lists of patterns in lower case, where ``*`` stands for anything; either may be missing, and nothing is included then."""
    return _any_matches(name, selection.get("includes")) and not _any_matches(name, selection.get("excludes"))


def _any_matches(name: str, patterns: Any) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns or ())
