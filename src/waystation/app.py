"""The application: `create_app` builds every part, owns its lifetime, and routes requests to it.

There is no module-level state: two applications can live in one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from waystation.assembly import build_server
from waystation.assistants.routes import router as assistant_routes
from waystation.auth.project import custom_authentication
from waystation.config import Config, HttpConfig, announce
from waystation.config.http import DEFAULT_CORS
from waystation.crons.routes import router as cron_routes
from waystation.encryption import encryption_of
from waystation.graphs import Graphs
from waystation.http.application import application
from waystation.http.router import Router
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.logs import configure_logs
from waystation.roles import Role
from waystation.runs.routes import router as run_routes
from waystation.server import Server
from waystation.store.routes import router as store_routes
from waystation.streams.routes import router as stream_routes
from waystation.system.routes import health_routes, meta_routes
from waystation.threads.routes import router as thread_routes
from waystation.threads.state_routes import router as state_routes
from waystation.webhooks.routes import router as webhook_routes

__all__ = ["Server", "create_app", "load_project"]


def load_project(config: Config) -> Graphs:
    """Everything of a project that can be checked while another process serves it. Raises ConfigError for a setting that this
    version refuses, GraphLoadError for a graph that does not load."""
    if not structlog.is_configured():  # its own default prints the values of local variables, secrets among them
        configure_logs(config.log_level, json=config.log_json, color=config.log_color)
    announce(config)
    graphs = Graphs.load(config)
    custom_authentication(config, graphs.modules)
    encryption_of(config, graphs.modules)
    return graphs


def create_app(config: Config, graphs: Graphs | None = None, role: Role = "all") -> Starlette:
    """The ASGI application for `config`, whose `load_project` may have been done already. That of a worker has only the routes
    that tell of the process itself, and is as useful without a port.

    Raises ConfigError and GraphLoadError for a project that cannot be served."""
    app: Starlette | None = None

    async def local_app(scope: Scope, receive: Receive, send: Send) -> None:
        assert app is not None
        await app(scope, receive, send)

    server = build_server(config, graphs if graphs is not None else load_project(config), role, local_app)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            await server.start()
            yield
        finally:
            await server.close()

    metrics = Middleware(HttpMetrics, metrics=server.metrics)
    if role == "worker":
        routers = _about_the_process(config.http, "/", "/info", "/metrics")
        return application(routers, server, middleware=[metrics], lifespan=lifespan)
    cors = DEFAULT_CORS if config.http.cors is None else config.http.cors
    app = application(
        _routers(config),
        server,
        prefix=config.http.mount_prefix,
        at_root=_about_the_process(config.http, "/", "/metrics") if config.http.mount_prefix else (),
        middleware=[metrics, Middleware(CORSMiddleware, **cors)],
        lifespan=lifespan,
        authentication=server.authentication,
        encryption_context=None if server.encryption is None else server.encryption.context_of,
        max_body_bytes=config.max_body_bytes,
    )
    return app


def _about_the_process(http: HttpConfig, *meta: str) -> list[Router]:
    """The routes of a worker, and what stays at the root of a server that is mounted below a prefix (spec 20)."""
    return [health_routes] if "meta" in http.disabled else [health_routes, meta_routes.only(*meta)]


def _routers(config: Config) -> list[Router]:
    """The routes of every family that is not disabled."""
    families = {
        "assistants": [assistant_routes],
        "threads": [thread_routes, state_routes, stream_routes],
        "runs": [run_routes, webhook_routes, *([cron_routes] if config.crons_enabled else ())],
        "store": [store_routes],
        "meta": [meta_routes],
    }
    chosen = [health_routes]
    for family, routers in families.items():
        if family not in config.http.disabled:
            chosen += routers
    return chosen
