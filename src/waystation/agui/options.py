"""``forwardedProps``: what a front end says beside the protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from waystation.errors import UnprocessableInput
from waystation.http.bodies import describe
from waystation.runs.models import Command, MultitaskStrategy, RunConfig, StreamModes

__all__ = ["Options", "options_of"]

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class Options(BaseModel):
    """The members that steer the run. All others are for the graph."""

    model_config = ConfigDict(strict=True, extra="allow", alias_generator=to_camel, populate_by_name=True)

    command: Command | None = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    multitask_strategy: MultitaskStrategy | None = None
    on_disconnect: Literal["cancel", "continue"] | None = None
    stream_mode: StreamModes = None
    stream_subgraphs: bool | None = None
    interrupt_outcome: bool | None = None
    """False: an interrupted run is told of by the custom event alone."""

    @property
    def of_the_graph(self) -> dict[str, Any]:
        """The other members, with their names in snake case."""
        return {_CAPITAL.sub("_", name).lower(): value for name, value in (self.model_extra or {}).items()}


def options_of(forwarded: Any) -> Options:
    """Raises UnprocessableInput."""
    if forwarded is not None and not isinstance(forwarded, Mapping):
        raise UnprocessableInput("forwardedProps: must be an object.")
    try:
        return Options.model_validate(dict(forwarded or {}))
    except ValidationError as error:
        raise UnprocessableInput(f"forwardedProps: {describe(error)}") from None
