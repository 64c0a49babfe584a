"""Which server of this process a call is for, and the request that it becomes there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.auth.caller import CALLER, INTERNAL
from waystation.auth.keys import key_id_of

__all__ = ["Loopback", "as_own", "below", "current_loopback"]

AMBIENT = ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
"""Where the SDK looks for an API key that it is not given."""

_current: ContextVar[Loopback | None] = ContextVar("waystation_loopback", default=None)
"""The server that runs the code which looks at it."""

_serving: list[Loopback] = []
"""Those of this process. The SDK's client takes it that there is one, and usually there is; what a server runs itself finds it in
the context."""


def current_loopback() -> Loopback:
    """The server that runs the calling code. Raises RuntimeError if there is none, or no telling which."""
    found = _current.get()
    if found is not None:
        return found
    if len(_serving) == 1:
        return _serving[0]
    if not _serving:
        raise RuntimeError(
            "get_client() without a URL calls the server that runs this code, and none is running here. Give it the URL of a "
            "server, or make the call from a graph or a route that a server runs."
        )
    raise RuntimeError("Several servers run in this process: give get_client() the URL of the one it is to call.")


class Loopback:
    """The way back into a server, for the code that it runs.

    A call without credentials is the server's own: nobody is asked who it is, and it may see everything. One with an
    ``Authorization`` header or an API key is its owner's. That a call is the server's own is noted in the ASGI scope,
    where nothing that comes over the network can get."""

    def __init__(self, app: ASGIApp, *, prefix: str = "") -> None:
        self._app = app
        self._prefix = prefix
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that the server runs on, while it does."""
        self.under_way: set[asyncio.Task[None]] = set()

    def enter(self) -> None:
        """Let the code that runs in the current context find this server."""
        _current.set(self)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While this is open the server takes calls, on the running event loop."""
        self.loop = asyncio.get_running_loop()
        _serving.append(self)
        try:
            yield
        finally:
            _serving.remove(self)
            self.loop = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server as an ASGI application for calls from within, on its event loop."""
        scope = below(self._prefix, scope)
        if not _has_credentials(Headers(scope=scope)):
            scope = as_own(scope)
        await self._app(scope, receive, send)


def below(prefix: str, scope: Scope) -> Scope:
    """`scope` with a complete path: the code within names paths without the prefix that the server is mounted at. One that
    begins with the prefix is taken for complete."""
    path: str = scope["path"]
    if not prefix or path.startswith(f"{prefix}/"):
        return {**scope, "root_path": ""}
    raw_path = prefix.encode() + scope.get("raw_path", path.encode())
    return {**scope, "root_path": "", "path": prefix + path, "raw_path": raw_path}


def as_own(scope: Scope) -> Scope:
    """`scope` as that of a request of the server itself, which is nobody's."""
    return {**scope, CALLER: INTERNAL, "user": UnauthenticatedUser(), "auth": AuthCredentials()}


def _has_credentials(headers: Headers) -> bool:
    """Whether a call is to be somebody's. A key that the SDK has found in the environment says nothing: LangSmith's is often there.
    One of this server does, wherever it comes from."""
    key = headers.get("x-api-key", "")
    if "authorization" in headers or key_id_of(key) is not None:
        return True
    return key != "" and key not in {os.environ.get(name, "").strip().strip("\"'") for name in AMBIENT}
