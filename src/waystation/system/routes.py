"""The routes about the server itself (spec 16). None of them asks for authentication.

``http.disable_meta`` leaves only ``/ok``, which then says no more than that the process answers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from waystation.errors import UnprocessableInput
from waystation.http.openapi import operation
from waystation.http.responses import json_response
from waystation.http.router import Router
from waystation.observability.figures import BusFigures, WorkerFigures
from waystation.observability.metrics import Figures
from waystation.system.health import PROBE_TIMEOUT_S, check_readiness
from waystation.system.info import describe_server
from waystation.system.openapi import openapi_document
from waystation.system.reference import reference_page

__all__ = ["health_routes", "meta_routes"]

log = structlog.get_logger("waystation.system")

HEALTH = {
    "type": "object",
    "required": ["ok"],
    "properties": {
        "ok": {"type": "boolean"},
        "services": {"type": "object", "additionalProperties": {"enum": ["healthy", "unhealthy", "skipped"]}},
    },
}
INFO = {"type": "object", "required": ["version", "langgraph_py_version", "flags", "metadata"]}

NO_WORKER = WorkerFigures(max=0, active=0, available=0)
"""Of a process that leaves runs to others."""

CHECK_DB = {"name": "check_db", "in": "query", "schema": {"type": "integer", "enum": [0, 1], "default": 0}}
FORMAT = {"name": "format", "in": "query", "schema": {"type": "string", "enum": ["prometheus", "json"]}}

health_routes = Router(tags=["System"])
"""``/ok``: always there."""

meta_routes = Router(tags=["System"])
"""Everything else about the server."""


@health_routes.get("/ok", **operation("Whether the server answers", answer=HEALTH, parameters=[CHECK_DB]))
async def ok(request: Request) -> Response:
    if "meta" in request.app.state.server.config.http.disabled:
        return json_response({"ok": True})
    return await _health(request)


@meta_routes.get("/", **operation("Whether the server answers", answer=HEALTH, parameters=[CHECK_DB]))
async def root(request: Request) -> Response:
    return await _health(request)


@meta_routes.get("/info", **operation("What this server is", answer=INFO))
async def info(request: Request) -> Response:
    return json_response(describe_server(route.path for route in request.app.state.dispatcher.routes))


@meta_routes.get("/metrics", **operation("Metrics", parameters=[FORMAT]))
async def metrics(request: Request) -> Response:
    server = request.app.state.server
    figures = await _figures(server)
    if request.query_params.get("format") == "json":
        return json_response(server.metrics.as_json(figures))
    from waystation.observability.exposition import CONTENT_TYPE, as_text

    return Response(as_text(server.metrics, figures), headers={"Content-Type": CONTENT_TYPE})


@meta_routes.get("/docs", **operation("This API as a page"))
async def docs(request: Request) -> Response:
    page = reference_page(await _document(request))
    return Response(page, media_type="text/html; charset=utf-8")


@meta_routes.get("/openapi.json", **operation("This API as an OpenAPI document"))
async def openapi(request: Request) -> Response:
    return json_response(await _document(request))


async def _health(request: Request) -> Response:
    check = request.query_params.get("check_db", "0")
    if check not in ("0", "1"):
        raise UnprocessableInput(f"Invalid check_db {check!r}: it must be 0 or 1.")
    if check == "0":
        return json_response({"ok": True, "services": {}})
    server = request.app.state.server
    readiness = await check_readiness(server.db, _bus_connected(server))
    if readiness.problem is None:
        return json_response({"ok": True, "services": readiness.services})
    return json_response({"ok": False, "services": readiness.services, "detail": readiness.problem}, 503)


async def _document(request: Request) -> dict[str, Any]:
    """Describing all routes takes a while: not on the event loop."""
    return await run_in_threadpool(_described, request.app.state)


def _described(state: Any) -> dict[str, Any]:
    config = state.server.config
    authentication = getattr(state.server, "authentication", None)
    security = None if authentication is None else authentication.documentation
    hidden = ["webhook"] if config.http.disable_webhooks else []
    document = openapi_document(state.dispatcher.routes, config.graphs, config.http.mount_prefix, security, hidden)
    composition = getattr(state, "composition", None)
    if composition is None:
        return document
    from waystation.custom_app.openapi import merged

    return merged(document, composition.custom, protected=composition.protected)


async def _figures(server: Any) -> Figures:
    """What the parts report. A database that does not answer must not hide the metrics that say why."""
    try:
        queue = await asyncio.wait_for(server.engine.queue_figures(), PROBE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the queue, the rest is still worth having
        log.warning("no queue figures for /metrics", error=str(error) or type(error).__name__)
        queue = None
    worker = server.worker
    return Figures(
        queue,
        NO_WORKER if worker is None else worker.figures(),
        server.db.statistics(),
        server.capacity.figures(),
        BusFigures(server.bus.connected, server.bus.lag_s) if server.config.redis_uri else None,
    )


def _bus_connected(server: Any) -> bool | None:
    """Whether Redis is reached; None where there is to be none."""
    return server.bus.connected if server.config.redis_uri else None
