"""Fields of request bodies that this server does not know: they are tolerated, and the log says so, once for each."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from pydantic import BaseModel

__all__ = ["UnknownFields"]

log = structlog.get_logger("waystation.http")

KEPT = 1_000
"""Fields remembered. Clients choose their names, so there may be any number; later ones go unmentioned."""

LONGEST = 100
"""Characters of a field's path that are shown."""


class UnknownFields:
    """What one server has told already. For one event loop."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def tell(self, body: BaseModel) -> None:
        """Log each field of `body`, and of the objects in it, that no model has, unless that was done before."""
        model = type(body).__name__
        for path in _unknown(body, ""):
            field = path[:LONGEST]
            if (model, field) not in self._told and len(self._told) < KEPT:
                self._told.add((model, field))
                log.info("a request has a field that this server does not know", body=model, field=field)


def _unknown(model: BaseModel, above: str) -> Iterator[str]:
    """The paths of unknown fields. A model with ``passes_on`` uses all of its fields, whatever their names."""
    if not getattr(model, "passes_on", False):
        for name in model.model_extra or ():
            yield above + name
    for name, value in model.__dict__.items():
        for part in value if isinstance(value, list) and value and isinstance(value[0], BaseModel) else (value,):
            if isinstance(part, BaseModel):
                yield from _unknown(part, f"{above}{name}.")
