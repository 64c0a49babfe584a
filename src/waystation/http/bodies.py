"""Request bodies and parameters: parsed strictly against a model, with errors that say what and where."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request

from waystation.errors import TooLarge, UnprocessableInput

__all__ = ["Body", "describe", "read_bodies", "read_body", "read_bytes", "require_uuid", "too_large"]

B = TypeVar("B", bound="Body")


class Body(BaseModel):
    """Base of all request bodies: types are not coerced; unknown fields are tolerated (`waystation.http.unknown_fields`)."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)


async def read_bytes(request: Request) -> bytes:
    """The raw body. Raises TooLarge beyond the configured limit, without reading the rest."""
    limit: int = request.app.state.server.config.max_body_bytes
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The request body has {declared} bytes; this server takes at most {limit}.")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limit: int) -> TooLarge:
    """The error of a body that has more than `limit` bytes."""
    return TooLarge(f"The request body has more than the {limit} bytes that this server takes.")


async def read_body(request: Request, model: type[B]) -> B:
    """The JSON body as a `model`. The content type is ignored (spec 1.1). Raises UnprocessableInput."""
    data = await read_bytes(request)
    if not data.strip():
        raise UnprocessableInput("The request body is empty; send a JSON object, at least {}.")
    try:
        body = model.model_validate_json(data)
    except ValidationError as error:
        raise UnprocessableInput(describe(error)) from None
    request.app.state.server.unknown_fields.tell(body)
    return body


async def read_bodies(request: Request, adapter: TypeAdapter[list[B]]) -> list[B]:
    """The JSON body as a list of models. Raises UnprocessableInput."""
    data = await read_bytes(request)
    try:
        bodies = adapter.validate_json(data)
    except ValidationError as error:
        raise UnprocessableInput(describe(error)) from None
    for body in bodies:
        request.app.state.server.unknown_fields.tell(body)
    return bodies


def require_uuid(text: str, what: str) -> str:
    """`text` as a lower-case UUID; raises UnprocessableInput naming `what` otherwise (spec 1.2: before any look-up)."""
    try:
        return str(UUID(text))
    except ValueError:
        raise UnprocessableInput(f"Invalid {what} {text!r}: it must be a UUID.") from None


def describe(error: ValidationError) -> str:
    """One line for a person: each problem with the path of the property it concerns."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False)[:5]:
        where = ".".join(str(part) for part in item["loc"])
        problems.append(f"{where}: {item['msg']}" if where else item["msg"])
    return "; ".join(problems)
