"""Routing: a path's segments walk a tree, so that finding one of a hundred routes costs as much as finding one of ten.

FastAPI's own routing costs 140 to 370 µs a request with as many routes as ours, this 10 to 20 µs; a run has 2 ms in all. What
FastAPI would add (validated bodies, an OpenAPI page) is done by `waystation.http.bodies` and `waystation.http.openapi`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["ApiRequest", "Dispatcher", "Route", "Router", "server_app"]

APP = "waystation.app"
"""Where the scope of a request has the application that serves the API. ``app`` may be a custom one around it."""

Endpoint = Callable[..., Awaitable[Response]]
E = TypeVar("E", bound=Endpoint)

Socket = Callable[..., Awaitable[None]]
S = TypeVar("S", bound=Socket)


class Route(Struct, frozen=True):
    """One operation: a method on a path template such as ``/threads/{thread_id}``."""

    method: str
    path: str
    endpoint: Endpoint
    tags: tuple[str, ...]
    description: Mapping[str, Any]
    """What the OpenAPI page says of it: the keyword arguments of the decorator."""


def server_app(scope: Scope) -> Starlette:
    """The application that serves the API, of a request that one of its routes answers."""
    app: Starlette = scope[APP]
    return app


class ApiRequest(Request):
    """A request whose `app` is the application that serves the API, whatever is around that."""

    @property
    def app(self) -> Any:
        return self.scope[APP]


class Router:
    """The routes of one feature. Handlers take the request and the path's parameters by name, as text."""

    def __init__(self, tags: Iterable[str] = ()) -> None:
        self.tags = tuple(tags)
        self.routes: list[Route] = []
        self.sockets: dict[str, Socket] = {}
        """WebSocket endpoints by path. They take scope, receive and send, and the path's parameters by name."""

    def websocket(self, path: str) -> Callable[[S], S]:
        """Register the decorated endpoint for WebSockets on `path`, which has a route as well."""

        def register(endpoint: S) -> S:
            self.sockets[path] = endpoint
            return endpoint

        return register

    def route(self, method: str, path: str, **description: Any) -> Callable[[E], E]:
        """Register the decorated handler for `method` on `path`."""

        def register(endpoint: E) -> E:
            self.routes.append(Route(method, path, endpoint, self.tags, description))
            return endpoint

        return register

    def only(self, *paths: str) -> Router:
        """A router with those of these routes that are on one of `paths`."""
        chosen = Router(self.tags)
        chosen.routes = [route for route in self.routes if route.path in paths]
        return chosen

    def below(self, prefix: str, *, described: bool = True) -> Router:
        """A router with these routes below `prefix`, which the OpenAPI document leaves out unless they are `described`."""
        moved = Router(self.tags)
        for route in self.routes:
            description = {**route.description, "hidden": not described}
            moved.routes.append(replace(route, path=prefix + route.path, description=description))
        return moved

    def get(self, path: str, **description: Any) -> Callable[[E], E]:
        return self.route("GET", path, **description)

    def post(self, path: str, **description: Any) -> Callable[[E], E]:
        return self.route("POST", path, **description)

    def put(self, path: str, **description: Any) -> Callable[[E], E]:
        return self.route("PUT", path, **description)

    def patch(self, path: str, **description: Any) -> Callable[[E], E]:
        return self.route("PATCH", path, **description)

    def delete(self, path: str, **description: Any) -> Callable[[E], E]:
        return self.route("DELETE", path, **description)


class _Node(Struct):
    """A place in the tree of path segments."""

    children: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)
    """By method: the route and the names of its parameters, in the order of the path."""
    socket: Socket | None = None


class Dispatcher:
    """An ASGI application over many routers. A fixed segment is preferred to a parameter."""

    def __init__(self, app: Starlette) -> None:
        """`app` is what handlers find as ``request.app``."""
        self.app = app
        self.routes: list[Route] = []
        """Every route, its path with the prefix."""
        self._root = _Node()

    def include(self, router: Router, prefix: str = "") -> None:
        """Serve the routes of `router` below `prefix`."""
        for route in router.routes:
            self._add(replace(route, path=prefix + route.path))
        for path, socket in router.sockets.items():
            node = _find(self._root, (prefix + path).split("/"), 1, [])
            assert node is not None, f"{path} has no route"
            node.socket = socket

    def takes_sockets(self, path: str) -> bool:
        """Whether there are WebSockets on `path`."""
        node = _find(self._root, path.split("/"), 1, [])
        return node is not None and node.socket is not None

    def methods_of(self, path: str) -> frozenset[str]:
        """The methods that routes have for `path`; none if no route has that path."""
        node = _find(self._root, path.split("/"), 1, [])
        return frozenset() if node is None else frozenset(node.routes)

    def parameters_of(self, scope: Scope) -> dict[str, str]:
        """The parameters in the path of a request, by name; none if no route has that path."""
        values: list[str] = []
        node = _find(self._root, scope["path"].split("/"), 1, values)
        if node is None:
            return {}
        _, names = next(iter(node.routes.values()))
        return dict(zip(names, values, strict=True))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        values: list[str] = []
        node = _find(self._root, scope["path"].split("/"), 1, values)
        if node is None:
            raise HTTPException(404)
        if scope["type"] == "websocket":
            await self._connect(node, values, scope, receive, send)
            return
        method = scope["method"]
        found = node.routes.get("GET" if method == "HEAD" else method)
        if found is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(node.routes))})
        route, names = found
        parameters = dict(zip(names, values, strict=True))
        scope["path_params"] = parameters
        scope["route"] = route
        scope[APP] = self.app
        response = await route.endpoint(ApiRequest(scope, receive, send), **parameters)
        await response(scope, receive, send)

    async def _connect(self, node: _Node, values: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        if node.socket is None:
            raise HTTPException(404)
        _, names = next(iter(node.routes.values()))
        scope[APP] = self.app
        await node.socket(scope, receive, send, **dict(zip(names, values, strict=True)))

    def _add(self, route: Route) -> None:
        self.routes.append(route)
        node, names = self._root, []
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.children.setdefault(segment, _Node())
        node.routes[route.method] = route, tuple(names)


def _find(node: _Node, segments: list[str], index: int, values: list[str]) -> _Node | None:
    """The node of a path, with its parameters' values appended to `values`; None when no route has that path."""
    if index == len(segments):
        return node if node.routes else None
    segment = segments[index]
    child = node.children.get(segment)
    if child is not None and (found := _find(child, segments, index + 1, values)) is not None:
        return found
    if node.parameter is None or not segment:
        return None
    values.append(segment)
    found = _find(node.parameter, segments, index + 1, values)
    if found is None:
        values.pop()
    return found
