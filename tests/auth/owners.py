"""The usual authorization: everybody's things are their own."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

from tests.auth.given import by_header

__all__ = ["owners"]


def owners() -> Auth:
    """Who makes something is its owner, and sees nothing else. Store namespaces begin with the user."""
    auth = by_header()

    @auth.on
    async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
        mine = {"owner": ctx.user.identity}
        value.setdefault("metadata", {}).update(mine)
        return mine

    @auth.on.store
    async def scoped(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
        value["namespace"] = (ctx.user.identity, *value["namespace"])

    return auth
