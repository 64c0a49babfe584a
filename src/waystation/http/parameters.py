"""Query parameters, parsed as strictly as bodies."""

from __future__ import annotations

from starlette.requests import Request

from waystation.errors import UnprocessableInput

__all__ = ["flag", "integer"]

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


def flag(request: Request, name: str) -> bool:
    """The boolean query parameter `name`, false if absent. Raises UnprocessableInput."""
    text = request.query_params.get(name, "")
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise UnprocessableInput(f"Invalid {name} {text!r}: it must be true or false.") from None


def integer(request: Request, name: str) -> int | None:
    """The integer query parameter `name`, None if absent. Raises UnprocessableInput."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or abs(number) >= 2**63:
        raise UnprocessableInput(f"Invalid {name} {text!r}: it must be an integer.")
    return number
