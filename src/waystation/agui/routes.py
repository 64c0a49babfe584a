"""HTTP route of AG-UI."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from waystation.http.openapi import operation
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["AG-UI"])


@router.post("/agui/{assistant_id}", **operation("Run an assistant for an AG-UI front end", streams=True))
async def run_agui(request: Request, assistant_id: str) -> Response:
    from waystation.agui.running import run  # the package's models take a third of a second to be made

    return await run(request, assistant_id)
