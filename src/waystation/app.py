"""The application: `create_app` builds every part, owns its lifetime, and routes requests to it.

There is no module-level state: two applications can live in one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.a2a.routes import router as a2a_routes
from waystation.agui.routes import router as agui_routes
from waystation.assembly import build_server
from waystation.assistants.routes import router as assistant_routes
from waystation.auth.project import custom_authentication
from waystation.config import Config, HttpConfig, announce
from waystation.config.http import DEFAULT_CORS
from waystation.crons.routes import router as cron_routes
from waystation.deepagents.error_bodies import answer as deepagents_error
from waystation.deepagents.routes import BASES, deepagent_routes
from waystation.encryption import encryption_of
from waystation.graphs import Graphs
from waystation.http.application import application
from waystation.http.cors import Cors
from waystation.http.error_bodies import ErrorBodies
from waystation.http.errors import HANDLERS
from waystation.http.request_id import RequestIds
from waystation.http.router import Dispatcher, Router
from waystation.loopback import Loopback, provide_transport
from waystation.mcp.routes import router as mcp_routes
from waystation.observability.http_metrics import HttpMetrics
from waystation.observability.http_spans import HttpSpans
from waystation.observability.logs import configure_logs
from waystation.protocol.routes import router as protocol_routes
from waystation.responses.errors import PATHS as OPENAI_PATHS
from waystation.responses.errors import answer as openai_error
from waystation.responses.routes import router as openai_routes
from waystation.roles import Role
from waystation.runs.routes import router as run_routes
from waystation.server import Server
from waystation.store.routes import router as store_routes
from waystation.streams.routes import router as stream_routes
from waystation.system.routes import health_routes, meta_routes
from waystation.threads.routes import router as thread_routes
from waystation.threads.state_routes import router as state_routes
from waystation.webhooks.routes import router as webhook_routes

if TYPE_CHECKING:
    from waystation.custom_app import Composition, CustomApp

__all__ = ["Server", "create_app", "load_project"]


def load_project(config: Config, role: Role = "all") -> Graphs:
    """Everything of a project that can be checked while another process serves it. Raises ConfigError for a setting that this
    version refuses and for a custom app that cannot be served, GraphLoadError for a graph that does not load."""
    if not structlog.is_configured():  # its own default prints the values of local variables, secrets among them
        configure_logs(config.log_level, json=config.log_json, color=config.log_color)
    announce(config)
    provide_transport()
    graphs = Graphs.load(config)
    custom_authentication(config, graphs.modules)
    _custom_app(config, graphs, role)
    encryption_of(config, graphs.modules)
    return graphs


def create_app(config: Config, graphs: Graphs | None = None, role: Role = "all") -> Starlette:
    """The ASGI application for `config`, whose `load_project` may have been done already. That of a worker has only the routes
    that tell of the process itself, and is as useful without a port.

    Raises ConfigError and GraphLoadError for a project that cannot be served."""
    inner: ASGIApp | None = None
    composition: Composition | None = None

    async def within(scope: Scope, receive: Receive, send: Send) -> None:
        assert inner is not None
        await inner(scope, receive, send)

    async def webhook_app(scope: Scope, receive: Receive, send: Send) -> None:
        assert composition is not None
        await composition.webhooks(scope, receive, send)

    if graphs is None:
        graphs = load_project(config, role)
    custom = _custom_app(config, graphs, role)
    loopback = Loopback(within, prefix=config.http.mount_prefix)
    server = build_server(config, graphs, role, loopback=loopback, webhook_app=None if custom is None else webhook_app)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[Mapping[str, Any] | None]:
        try:
            await server.start()
            with loopback.serving():
                async with nullcontext() if composition is None else composition.lifespan() as state:
                    try:
                        yield state
                    finally:  # runs may need the way back in, and what the custom app's lifespan has made
                        await server.drain()
        finally:
            await server.close()

    metrics = Middleware(HttpMetrics, metrics=server.metrics)
    if role == "worker":
        inner = _api(config, server)  # for what runs call; clients have no way there
        routers = _about_the_process(config.http, "/", "/info", "/metrics")
        return application(routers, server, middleware=[metrics], lifespan=lifespan)

    def around(api: ASGIApp, dispatcher: Dispatcher) -> ASGIApp:
        nonlocal composition
        from waystation.custom_app import Composition

        assert custom is not None
        errors = _error_bodies(config)
        composition = Composition(
            custom,
            api if errors is None else errors.around(api),
            dispatcher,
            prefix=config.http.mount_prefix,
            authentication=server.authentication,
            protected=config.http.protect_app,
            auth_first=config.http.auth_first,
            max_body_bytes=config.max_body_bytes,
            error_bodies=None if errors is None else errors.around,
        )
        composition.enter = loopback.enter
        composition.warn_of_shadows()
        return composition

    app = inner = _api(
        config,
        server,
        at_root=_about_the_process(config.http, "/", "/metrics") if config.http.mount_prefix else (),
        middleware=[
            *_spans(server),
            Middleware(RequestIds),
            *_request_log(config.http),
            metrics,
            *_cors(config.http, custom),
        ],
        lifespan=lifespan,
        around=None if custom is None else around,
    )
    app.state.composition = composition
    return app


def _api(config: Config, server: Server, **options: Any) -> Starlette:
    errors = _error_bodies(config)
    return application(
        _routers(config),
        server,
        prefix=config.http.mount_prefix,
        authentication=server.authentication,
        encryption_context=None if server.encryption is None else server.encryption.context_of,
        max_body_bytes=config.max_body_bytes,
        exception_handlers=HANDLERS if errors is None else errors.handlers(HANDLERS),
        **options,
    )


def _error_bodies(config: Config) -> ErrorBodies | None:
    """Gives errors of the APIs of others their own form."""
    families = {"deepagents": (BASES, deepagents_error), "openai": (OPENAI_PATHS, openai_error)}
    forms = {
        config.http.mount_prefix + base: form
        for family, (bases, form) in families.items()
        if family not in config.http.disabled
        for base in bases
    }
    return ErrorBodies(forms) if forms else None


def _custom_app(config: Config, graphs: Graphs, role: Role) -> CustomApp | None:
    """The project's own application, where it is served."""
    if config.http.app is None or role == "worker":
        return None
    from waystation.custom_app import load_custom_app

    return load_custom_app(config, graphs.modules)


def _cors(http: HttpConfig, custom: CustomApp | None) -> list[Middleware]:
    """The CORS policy. A custom app that has one of its own, where none is configured, is not to be overruled by the default."""
    if http.cors is None and custom is not None and custom.has_cors:
        return []
    return [Middleware(Cors, **(DEFAULT_CORS if http.cors is None else http.cors))]


def _spans(server: Server) -> list[Middleware]:
    return [] if server.tracing is None else [Middleware(HttpSpans, tracing=server.tracing)]


def _request_log(http: HttpConfig) -> list[Middleware]:
    if http.logging_headers is None:
        return []
    from waystation.observability.request_log import RequestLog

    return [Middleware(RequestLog, selection=http.logging_headers)]


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
        "deepagents": list(deepagent_routes()),
        "agui": [agui_routes],
        "openai": [openai_routes],
        "meta": [meta_routes],
        "mcp": [mcp_routes],
        "a2a": [a2a_routes],
    }
    if config.event_streaming and "runs" not in config.http.disabled:
        families["event_streaming"] = [protocol_routes]
    chosen = [health_routes]
    for family, routers in families.items():
        if family not in config.http.disabled:
            chosen += routers
    return chosen
