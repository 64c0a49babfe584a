"""Saying where and why a graph could not be loaded, in the user's terms: graph, reference, file, line, cause."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from pathlib import Path

from waystation.errors import GraphLoadError

__all__ = ["Culprits", "graph_named", "load_error"]

Place = tuple[Path, int | None]
"""A file, and the line in it if that is known."""

RELATIVE_IMPORT = "attempted relative import with no known parent package"


def graph_named(graph_id: str, reference: str) -> str:
    """What errors call a graph."""
    return f"Graph {graph_id!r} ({reference})"


def load_error(what: str, place: Place | None, cause: str) -> GraphLoadError:
    """A GraphLoadError that names `what` was to be loaded, the `place` and the `cause`."""
    where = "" if place is None else f"{place[0]}: " if place[1] is None else f"{place[0]}, line {place[1]}: "
    return GraphLoadError(f"{what} could not be loaded: {where}{cause}")


class Culprits:
    """Finds the line of the user's own code behind an exception."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = list(roots)
        """Directories that hold the user's code."""

    def import_error(self, what: str, error: BaseException) -> GraphLoadError:
        """The GraphLoadError for an `error` raised while a module was imported."""
        if isinstance(error, SyntaxError):
            cause = f"{type(error).__name__}: {error.msg}"
        else:
            cause = "".join(traceback.format_exception_only(error)).strip()
        if isinstance(error, ImportError) and RELATIVE_IMPORT in str(error):
            cause += " (a graph's file is not part of a package; import from it by absolute name)"
        return load_error(what, self.innermost(error), cause)

    def innermost(self, error: BaseException) -> Place | None:
        """The innermost place in the user's code that `error` came through."""
        if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
            return Path(error.filename), error.lineno
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if self._owns(frame.filename):
                return Path(frame.filename), frame.lineno
        return None

    def _owns(self, filename: str) -> bool:
        path = Path(os.path.realpath(filename))
        return "site-packages" not in path.parts and any(path.is_relative_to(root) for root in self.roots)
