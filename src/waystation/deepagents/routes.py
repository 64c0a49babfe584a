"""All routes of this API, at each of its base paths (MDA 1)."""

from __future__ import annotations

from collections.abc import Iterable

from waystation.deepagents.agents import health, hub, revisions, routes
from waystation.deepagents.mcp_servers import oauth_routes
from waystation.deepagents.mcp_servers import routes as mcp_routes
from waystation.deepagents.runs import routes as run_routes
from waystation.deepagents.threads import routes as thread_routes
from waystation.http.router import Router

__all__ = ["BASES", "deepagent_routes"]

BASES = ("/v1/deepagents", "/v1/fleet", hub.HUB)
"""Below these paths errors have the form of this API."""

_FAMILIES = (
    routes.router,
    health.router,
    revisions.router,
    thread_routes.router,
    run_routes.router,
    mcp_routes.router,
    oauth_routes.router,
)


def deepagent_routes() -> Iterable[Router]:
    """The routers. Those of the alias are the same and are not described a second time."""
    for router in _FAMILIES:
        yield router.below("/v1/deepagents")
        yield router.below("/v1/fleet", described=False)
    yield hub.router
