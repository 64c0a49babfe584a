"""Request bodies about MCP servers (MDA 13, 15)."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from waystation.deepagents.bodies import Filled
from waystation.http.bodies import Body

__all__ = ["AuthSessionCreate", "HeaderModel", "OAuthProviderRequest", "ServerCreate", "ServerPatch"]

AuthType = Literal["headers", "oauth", ""]
OAuthMode = Literal["legacy_shared_provider", "per_user_dynamic_client", ""]


class HeaderModel(Body):
    model_config = ConfigDict(title="McpServerHeader", hide_input_in_errors=True)

    key: str
    value: str


class ServerCreate(Body):
    """A server to register. The empty string is the same as no value."""

    model_config = ConfigDict(title="CreateMcpServerRequest", hide_input_in_errors=True)

    name: Filled
    url: Filled
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

    url: Filled | None = None
    headers: list[HeaderModel] | None = None
    auth_type: AuthType | None = None
    oauth_mode: OAuthMode | None = None
    oauth_provider_id: str | None = None


class OAuthProviderRequest(Body):
    """Whose provider to register; the caller's unless said otherwise."""

    model_config = ConfigDict(title="RegisterMcpOAuthProviderRequest")

    ls_user_id: str | None = None


class AuthSessionCreate(Body):
    """A sign-in to begin, or to take over."""

    model_config = ConfigDict(title="CreateAuthSessionRequest")

    provider_id: Filled
    scopes: list[str]
    strategy: Literal["REUSE", "CREATE"]
    agent_id: str | None = None
    token_id: str | None = None
    is_default: bool | None = None
