"""URLs of MCP servers: which are acceptable, which are the same, and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from waystation.outgoing import UrlPolicy

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["policy_of", "shown", "url_key"]


def policy_of(config: Config) -> UrlPolicy:
    """https to public addresses only, unless the configuration allows private ones."""
    private = config.allow_private_urls
    return UrlPolicy(allow_loopback=private, allow_private=private, require_https=not private)


def url_key(url: str) -> str:
    """What two spellings of one URL have in common (MDA 7.1). Only for comparing: what is called is the URL as registered."""
    return url.strip().rstrip("/").lower()


def shown(url: str) -> str:
    """`url` for errors and logs: without a query or a user, which may hold secrets."""
    try:
        parsed = httpx.URL(url.strip())
        return str(parsed.copy_with(userinfo=b"", query=None, fragment=None))[:200]
    except (httpx.InvalidURL, ValueError):
        return "(not a URL)"
