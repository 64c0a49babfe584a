"""HTTP routes of OpenAI's Responses API. What they do is imported when they are used."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from waystation.http.openapi import operation
from waystation.http.router import Router
from waystation.responses.models import ResponseCreate

__all__ = ["router"]

router = Router(tags=["OpenAI"])

_OBJECT = {"type": "object"}


@router.post("/v1/responses", **operation("Create a response", ResponseCreate, _OBJECT))
async def create_response(request: Request) -> Response:
    from waystation.responses import handling

    return await handling.create_response(request)


@router.get("/v1/responses/{response}", **operation("Retrieve a response", answer=_OBJECT))
async def get_response(request: Request, response: str) -> Response:
    from waystation.responses import handling

    return await handling.get_response(request, response)


@router.post("/v1/responses/{response}/cancel", **operation("Cancel a response", answer=_OBJECT))
async def cancel_response(request: Request, response: str) -> Response:
    from waystation.responses import handling

    return await handling.cancel_response(request, response)


@router.delete("/v1/responses/{response}", **operation("Delete a response", answer=_OBJECT))
async def delete_response(request: Request, response: str) -> Response:
    from waystation.responses import handling

    return await handling.delete_response(request, response)


@router.get("/v1/responses/{response}/input_items", **operation("List the input of a response", answer=_OBJECT))
async def list_input_items(request: Request, response: str) -> Response:
    from waystation.responses import handling

    return await handling.list_input_items(request, response)


@router.get("/v1/models", **operation("List the assistants that take messages", answer=_OBJECT))
async def list_models(request: Request) -> Response:
    from waystation.responses import handling

    return await handling.list_models(request)


@router.get("/v1/models/{model}", **operation("Get an assistant that takes messages", answer=_OBJECT))
async def get_model(request: Request, model: str) -> Response:
    from waystation.responses import handling

    return await handling.get_model(request, model)
