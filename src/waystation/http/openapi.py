"""The OpenAPI description of routes that parse their own bodies."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["operation"]


def operation(
    summary: str, body: type[BaseModel] | None = None, answer: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Keyword arguments for a route decorator: its summary, request body and the JSON schema of its 200 answer."""
    extra: dict[str, Any] = {}
    if body is not None:
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if answer is not None:
        extra["responses"] = {"200": {"description": "", "content": {"application/json": {"schema": answer}}}}
    return {"summary": summary, "response_model": None, "openapi_extra": extra or None}
