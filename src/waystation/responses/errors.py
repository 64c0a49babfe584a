"""Errors in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from waystation import errors
from waystation.http.errors import as_http_exception
from waystation.http.responses import json_response

__all__ = ["PATHS", "ModelNotFound", "Refused", "ResponseNotFound", "answer", "unsupported"]

PATHS = ("/v1/responses", "/v1/models")
"""At and below these paths errors have this form."""

_CODES = {401: "invalid_api_key", 413: "request_too_large"}


class Refused(errors.BadInput):
    """The request asks for something that is not possible."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class ResponseNotFound(errors.NotFound):
    """There is no such response."""

    def __init__(self, response_id: str) -> None:
        super().__init__(f"Response with id {response_id!r} not found.")


class ModelNotFound(errors.NotFound):
    """There is no such model."""

    param = "model"
    code = "model_not_found"


def unsupported(param: str, why: str) -> Refused:
    """The refusal of a parameter that would have no effect."""
    return Refused(f"Unsupported parameter: {param!r}: {why}.", param, "unsupported_parameter")


def answer(request: Request, error: Exception) -> Response:
    """`error` as OpenAI's clients read it. What does not have the required form is a 400 there."""
    param, code = getattr(error, "param", None), getattr(error, "code", None)
    if isinstance(error, errors.WaystationError):
        error = as_http_exception(request, error)
    if not isinstance(error, HTTPException):
        error = HTTPException(500, "The server failed; its log says why.")
    status = 400 if error.status_code == 422 else error.status_code
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"message": str(error.detail), "type": kind, "param": param, "code": code or _CODES.get(status)}
    return json_response({"error": body}, status, error.headers)
