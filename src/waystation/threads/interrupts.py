"""What a thread waits for, as its row has it: the interrupts by the graph's task that has raised them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["open_interrupts"]


def open_interrupts(by_task: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The interrupts ``{id, value[, response_schema]}`` of all tasks, one after the other."""
    return [each for of_task in (by_task or {}).values() for each in of_task]
