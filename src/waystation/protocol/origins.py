"""Which web pages may open a WebSocket: browsers ask nobody, so the server has to look at what they say of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

__all__ = ["is_welcome"]


def is_welcome(headers: Headers, policy: Mapping[str, Any]) -> bool:
    """Whether a page with the request's ``Origin`` may connect, by the CORS `policy` (Starlette's arguments) that also decides
    about its other requests. Clients other than browsers name none, and pages of the server itself are always welcome."""
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host"):
        return True
    allowed = policy.get("allow_origins", ())
    expression = policy.get("allow_origin_regex")
    return "*" in allowed or origin in allowed or (expression is not None and bool(re.fullmatch(expression, origin)))
