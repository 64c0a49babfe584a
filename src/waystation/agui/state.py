"""The state of a graph as AG-UI shows it: without the conversation, whole at first and then by its changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ag_ui.core import BaseEvent, StateDeltaEvent, StateSnapshotEvent
from jsonpatch import make_patch

from waystation.encoding import encode

__all__ = ["OF_THE_CLIENT", "SharedState", "shared"]

OF_THE_CLIENT = ("tools", "ag-ui", "copilotkit")
"""Keys in which a graph may keep what the client has brought along. It need not be told."""

_APART = ("messages", *OF_THE_CLIENT)


def shared(values: Any) -> Any:
    """What of a graph's state is shown."""
    return {key: value for key, value in values.items() if key not in _APART} if isinstance(values, dict) else values


class SharedState:
    """What the client knows of the state."""

    def __init__(self) -> None:
        self._known: Any = None
        self._told = False

    def becomes(self, values: Any) -> Iterator[BaseEvent]:
        """Tell what is new in `values`, by whichever is shorter."""
        state, known = shared(values), self._known
        self._known = state
        if not self._told:
            self._told = True
            yield StateSnapshotEvent(snapshot=state)
        elif state != known:
            patch = make_patch(known, state).patch
            short = len(encode(patch)) < len(encode(state))
            yield StateDeltaEvent.model_validate({"delta": patch}) if short else StateSnapshotEvent(snapshot=state)
