"""Asking who sends a request, before anything else is done with it."""

from __future__ import annotations

from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from waystation.auth.caller import CALLER, Authentication
from waystation.http.bodies import too_large

__all__ = ["OPEN_PATHS", "Authenticated"]

OPEN_PATHS = frozenset({"/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"})
"""Paths that everybody may see (spec 18.2)."""

OPEN_BELOW = "/ui"
"""What browsers load by themselves."""

POLICY_VIOLATION = 1008


class Authenticated:
    """Pure ASGI middleware: passes on what is sent by callers that are known, with a `Caller` in the scope, and what is open to
    everybody, unless it is `closed`. ``request.user`` and ``request.auth`` are as Starlette has them.

    Raises what `Authentication.caller` raises: it belongs inside of the exception handlers."""

    def __init__(
        self,
        app: ASGIApp,
        authentication: Authentication,
        *,
        prefix: str = "",
        max_body_bytes: int | None = None,
        closed: bool = False,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._prefix = prefix
        self._closed = closed
        self._open = OPEN_PATHS | {prefix + path for path in OPEN_PATHS}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._is_open(scope) or CALLER in scope:
            await self._app(scope, receive, send)
            return
        recorder = _Recorder(receive, self._max_body_bytes)
        try:
            caller = await self._authentication.caller(scope, recorder.record)
        except HTTPException:
            if scope["type"] == "http":
                raise
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        scope[CALLER] = caller
        scope["user"] = UnauthenticatedUser() if caller.user is None else caller.user
        scope["auth"] = AuthCredentials(list(caller.access.permissions))
        await self._app(scope, recorder.replay if recorder.used else receive, send)

    def _is_open(self, scope: Scope) -> bool:
        if self._closed or scope["type"] != "http":
            return False
        path: str = scope["path"]
        if path in self._open:
            return True
        ui = self._prefix + OPEN_BELOW
        return scope["method"] in ("GET", "HEAD") and (path == ui or path.startswith(f"{ui}/"))


class _Recorder:
    """Lets the handler read a request's body and the routes read it again."""

    def __init__(self, receive: Receive, most: int | None) -> None:
        self._receive = receive
        self._most = most
        self._messages: list[Message] = []
        self._size = 0
        self.used = False

    async def record(self) -> Message:
        self.used = True
        message = await self._receive()
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        if self._most is not None and self._size > self._most:
            raise too_large(self._most)
        return message

    async def replay(self) -> Message:
        return self._messages.pop(0) if self._messages else await self._receive()
