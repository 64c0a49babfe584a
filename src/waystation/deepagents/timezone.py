"""The user's time zone (MDA 8)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

__all__ = ["DEFAULT", "date_line", "known_timezone"]

DEFAULT = "UTC"


def known_timezone(name: object) -> str:
    """`name` if it is a time zone of the IANA database, and ``UTC`` otherwise."""
    if not isinstance(name, str) or not name:
        return DEFAULT
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return DEFAULT
    return name


def date_line(timezone: object) -> str:
    """The line of the prompt about today; no time of day, so that the prompt can be cached."""
    name = known_timezone(timezone)
    return f"Today is {datetime.now(ZoneInfo(name)):%A, %Y-%m-%d} in the user's time zone, {name}."
