"""The headers that a server gets with every request: credentials. Which are acceptable, and how they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from waystation.deepagents.errors import InvalidField
from waystation.encoding import decode, encode
from waystation.secrets import SecretBox

__all__ = ["Header", "checked", "opened", "sealed"]

Header = tuple[str, str]

MOST_HEADERS = 50
LONGEST_VALUE = 8192
"""Characters."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_MASK = re.compile(r"[*•]+")

_OF_THE_PROTOCOL = frozenset(
    {
        "accept",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What HTTP and MCP themselves say with each request; another value would break them."""


def checked(headers: Iterable[Header]) -> list[Header]:
    """`headers` as they will be sent. Raises InvalidField, which names headers but repeats no value."""
    result: list[Header] = []
    for name, value in headers:
        value = value.strip()
        if not _NAME.fullmatch(name):
            raise InvalidField(
                "use letters, digits and hyphens for 'headers[].key': it must be the name of an HTTP header"
            )
        if name.lower() in _OF_THE_PROTOCOL:
            raise InvalidField(f"leave out the header {name!r} of 'headers': the protocol sets it")
        if not value.isascii() or not value.isprintable() or len(value) > LONGEST_VALUE:
            raise InvalidField(
                f"set the value of the header {name!r} to at most {LONGEST_VALUE} printable ASCII characters: others cannot be sent"
            )
        if _MASK.fullmatch(value):
            raise InvalidField(
                f"set the header {name!r} to its real value: what was given is the mask that stands for it on screens"
            )
        result.append((name, value))
    if len({name.lower() for name, _ in result}) < len(result):
        raise InvalidField("name each header of 'headers' once: a name comes twice")
    if len(result) > MOST_HEADERS:
        raise InvalidField(f"give at most {MOST_HEADERS} 'headers': there are {len(result)}")
    return result


def sealed(box: SecretBox, server_id: str, headers: Sequence[Header]) -> bytes | None:
    """`headers` as they are stored. Raises Unavailable where there is no key."""
    return box.seal(encode(headers), _where(server_id)) if headers else None


def opened(box: SecretBox, row: Mapping[str, Any]) -> list[Header]:
    """The headers of a server's row. Raises SealBroken, Unavailable."""
    stored = row["headers"]
    if stored is None:
        return []
    return [(name, value) for name, value in decode(box.open(bytes(stored), _where(row["server_id"])))]


def _where(server_id: str) -> str:
    return f"headers of the MCP server {server_id}"
