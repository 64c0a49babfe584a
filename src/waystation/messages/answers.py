"""What people answer to interrupts, as front ends send it."""

from __future__ import annotations

from typing import Any

from waystation.encoding import decode

__all__ = ["parsed"]


def parsed(answer: Any) -> Any:
    """The answer that a front end has sent as text, because it can send nothing else: JSON if it is."""
    if not isinstance(answer, str):
        return answer
    try:
        return decode(answer)
    except ValueError:
        return answer
