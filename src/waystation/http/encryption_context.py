"""The encryption context of a request: what its header says, and what the project makes of that (spec 23)."""

from __future__ import annotations

import base64
from typing import Any

from starlette.authentication import UnauthenticatedUser
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from waystation.encoding import decode
from waystation.errors import UnprocessableInput
from waystation.storage.sealing import ContextOf, under

__all__ = ["ENCRYPTION_CONTEXT", "WithEncryptionContext"]

ENCRYPTION_CONTEXT = "x-encryption-context"
"""The header: a JSON object in base64."""

_STANDARD = str.maketrans("-_", "+/")


class WithEncryptionContext:
    """Pure ASGI middleware: whatever is stored for a request is encrypted with its context. Belongs inside of the authentication.

    Raises UnprocessableInput for a malformed header, EncryptionFailed when the project's handler fails."""

    def __init__(self, app: ASGIApp, context_of: ContextOf) -> None:
        self._app = app
        self._context_of = context_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        user = scope.get("user") or UnauthenticatedUser()
        context = await self._context_of(user, _given(Headers(scope=scope).get(ENCRYPTION_CONTEXT)))
        with under(context):
            await self._app(scope, receive, send)


def _given(header: str | None) -> dict[str, Any]:
    if not header:
        return {}
    text = header.strip().translate(_STANDARD)
    try:
        found = decode(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnprocessableInput("Invalid X-Encryption-Context: it must be a JSON object in base64.")
    return found
