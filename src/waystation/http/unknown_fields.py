"""Fields of request bodies that this server does not know: they are tolerated, and the log says so, once for each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

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
    if model.model_extra and not getattr(model, "passes_on", False):
        for name in model.model_extra:
            yield above + name
    for name in _with_models(type(model)):
        value = getattr(model, name)
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, BaseModel):
                yield from _unknown(part, f"{above}{name}.")


@cache
def _with_models(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of `model` that may have objects with a model of their own: few do, and this is asked for every request."""
    return tuple(name for name, field in model.model_fields.items() if _may_have_model(field.annotation))


def _may_have_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_may_have_model(part) for part in get_args(annotation))
