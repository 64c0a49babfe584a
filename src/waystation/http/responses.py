"""Responses: JSON encoded once, without validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from waystation.encoding import encode

__all__ = ["empty", "json_response", "pagination_headers", "raw_json"]


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a JSON response."""
    return raw_json(encode(value), status, headers)


def raw_json(data: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`data`, already JSON, as a response."""
    return _Json(data, status, headers or {})


def empty(status: int = 204, headers: Mapping[str, str] | None = None) -> Response:
    """A response without a body."""
    return Response(status_code=status, headers=dict(headers) if headers else None)


def pagination_headers(offset: int, limit: int, found: int) -> dict[str, str]:
    """Headers of the search endpoints (spec 1.4). `found` counts the rows fetched with ``LIMIT limit + 1``."""
    if found > limit:
        return {"X-Pagination-Next": str(offset + limit), "X-Pagination-Total": str(offset + limit + 1)}
    return {"X-Pagination-Total": str(offset + found)}


class _Json(Response):
    """As Starlette would make it, in a third of the time."""

    media_type = "application/json"

    def __init__(self, data: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = data
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.raw_headers.append((b"content-length", b"%d" % len(data)))
        if "content-type" not in headers:
            self.raw_headers.append(_JSON)


_JSON = (b"content-type", b"application/json")
