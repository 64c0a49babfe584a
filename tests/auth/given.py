"""The `Auth` object of the server under test: ``tests.auth.given:auth``. Each test puts its own here."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

from waystation.config import AuthConfig

__all__ = ["auth", "by_header", "configured"]

auth: Auth = Auth()


def configured(given: Auth, **settings: Any) -> AuthConfig:
    """The configuration of a project that has `given`."""
    global auth
    auth = given
    return AuthConfig("tests.auth.given:auth", **settings)


def by_header() -> Auth:
    """Everybody is who the header ``X-User`` says; permissions are in ``X-Permissions``."""
    given = Auth()

    @given.authenticate
    async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
        user = headers.get(b"x-user")
        if user is None:
            raise Auth.exceptions.HTTPException(status_code=401, detail="Who are you?")
        permissions = headers.get(b"x-permissions", b"").decode().split()
        return {"identity": user.decode(), "permissions": permissions, "org": "acme"}

    return given
