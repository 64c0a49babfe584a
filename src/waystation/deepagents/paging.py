"""Lists page by page: the parameters that all of them have, and cursors (MDA 4.1, 9.3)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from waystation.deepagents.errors import InvalidQuery
from waystation.encoding import decode, encode

__all__ = ["PAGE", "choice", "cursor_at", "flag", "page_size", "place_of"]

PAGE = 20
"""How long a page is if nothing is said of it."""

_UNREADABLE = "send the next_cursor of a page as it is: the cursor cannot be read"


def page_size(request: Request, largest: int) -> int:
    """Raises InvalidQuery."""
    text = request.query_params.get("page_size", str(PAGE))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= largest:
        raise InvalidQuery(f"set page_size to a number from 1 to {largest}: it is {text[:20]!r}")
    return int(text)


def choice(request: Request, name: str, allowed: tuple[str, ...], default: str) -> str:
    """Raises InvalidQuery."""
    text = request.query_params.get(name, default)
    if text not in allowed:
        raise InvalidQuery(f"set {name} to one of {', '.join(allowed)}: it is {text[:20]!r}")
    return text


def flag(request: Request, name: str) -> bool | None:
    """A parameter that is true or false; None if it is not given. Raises InvalidQuery."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        raise InvalidQuery(f"set {name} to true or false: it is {text[:20]!r}")
    return text.lower() in ("true", "1")


def cursor_at(asked: Sequence[Any], key: Any, row_id: str) -> str:
    """Where the next page begins, after the row with this sort `key` and id. `asked` are the parameters that have to be the same
    then."""
    return base64.urlsafe_b64encode(encode([*asked, key, row_id])).decode().rstrip("=")


def place_of(cursor: str, asked: Sequence[Any], key_type: type) -> tuple[Any, str]:
    """The sort key and the id of a cursor. Raises InvalidQuery."""
    try:
        *before, key, row_id = decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise InvalidQuery(_UNREADABLE) from None
    if before != list(asked):
        raise InvalidQuery("repeat the parameters of the page before: the cursor was made for others")
    if not isinstance(row_id, str) or type(key) is not key_type:
        raise InvalidQuery(_UNREADABLE)
    return key, row_id
