"""Request bodies of MCP servers (section 13), and how they are read."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from waystation.deepagents.mcp_servers.failures import InvalidBody, InvalidField, MissingField
from waystation.http.bodies import Body, describe, read_bytes

__all__ = ["AuthType", "HeaderModel", "OAuthMode", "OAuthProviderRequest", "ServerCreate", "ServerPatch", "read"]

B = TypeVar("B", bound=Body)

AuthType = Literal["headers", "oauth", ""]
OAuthMode = Literal["legacy_shared_provider", "per_user_dynamic_client", ""]


class HeaderModel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", title="McpServerHeader", hide_input_in_errors=True)

    key: str
    value: str


class ServerCreate(Body):
    """A server to register. The empty string is the same as no value."""

    model_config = ConfigDict(title="CreateMcpServerRequest", hide_input_in_errors=True)

    name: str
    url: str
    headers: list[HeaderModel] | None = None
    auth_type: AuthType | None = None
    oauth_mode: OAuthMode | None = None
    oauth_provider_id: str | None = None
    vendor_id: str | None = None
    external_system_id: str | None = None


class ServerPatch(Body):
    """What to change of a server. A field that is absent, or null but for `oauth_provider_id`, changes nothing; `headers`
    replaces all of them."""

    model_config = ConfigDict(title="UpdateMcpServerRequest", hide_input_in_errors=True)

    url: str | None = None
    headers: list[HeaderModel] | None = None
    auth_type: AuthType | None = None
    oauth_mode: OAuthMode | None = None
    oauth_provider_id: str | None = None


class OAuthProviderRequest(Body):
    """Whose provider to register; the caller's unless said otherwise."""

    model_config = ConfigDict(title="RegisterMcpOAuthProviderRequest")

    ls_user_id: str | None = None


async def read(request: Request, model: type[B]) -> B:
    """The JSON body as a `model`. A field that is missing or not of its type is a 400, and a value that is not allowed a 422
    (section 3). Raises MissingField, InvalidBody, InvalidField, TooLarge."""
    try:
        body = model.model_validate_json(await read_bytes(request) or b"{}")
    except ValidationError as error:
        raise _refusal(error) from None
    request.app.state.server.unknown_fields.tell(body)
    return body


def _refusal(error: ValidationError) -> InvalidBody | InvalidField | MissingField:
    problems: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    for problem in problems:
        if problem["type"] == "missing":
            where = ".".join(map(str, problem["loc"]))
            return MissingField(f"Set {where!r} to a non-empty value: it is required.")
    what = f"Send a JSON object of the documented form: {describe(error)}"
    return InvalidField(what) if all(each["type"] == "literal_error" for each in problems) else InvalidBody(what)
