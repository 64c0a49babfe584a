"""Telling that a server has begun to stop."""

from __future__ import annotations

import httpx

from tests.driver import eventually

__all__ = ["refuses_connections"]


async def refuses_connections(url: str) -> None:
    """Wait until nobody listens at `url` any more."""

    async def look() -> bool:
        try:
            async with httpx.AsyncClient(verify=False) as client:
                await client.get(f"{url}/ok")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:  # accepted in the moment in which it stopped
            return False
        return False

    await eventually(look, "the server refusing connections")
