"""HTTP route of AG-UI."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

from starlette.requests import Request
from starlette.responses import Response

from waystation.http.openapi import operation
from waystation.http.router import Router

__all__ = ["router"]

router = Router(tags=["AG-UI"])

RUNNING = "waystation.agui.running"


@router.post("/agui/{assistant_id}", **operation("Run an assistant for an AG-UI front end", streams=True))
async def run_agui(request: Request, assistant_id: str) -> Response:
    if (
        RUNNING not in sys.modules
    ):  # the models of the protocol take a third of a second to be made: only if they are needed
        await asyncio.to_thread(import_module, RUNNING)
    from waystation.agui.running import run

    return await run(request, assistant_id)
