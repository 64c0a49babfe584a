"""The `Auth` object that ``auth.path`` of ``langgraph.json`` names (spec 18.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from waystation.errors import ConfigError

if TYPE_CHECKING:
    from waystation.auth.custom import CustomAuthentication
    from waystation.config import Config
    from waystation.graphs.modules import Modules

__all__ = ["custom_authentication", "warn_of_gaps"]

log = structlog.get_logger("waystation.auth")


def custom_authentication(config: Config, modules: Modules) -> CustomAuthentication | None:
    """What the project has for authentication; None for nothing. Raises ConfigError when it cannot be used."""
    settings = config.auth
    if settings is None:
        return None
    from langgraph_sdk import Auth  # it takes long to import

    from waystation.auth.custom import CustomAuthentication

    found = modules.part("auth.path", settings.path)
    if not isinstance(found, Auth):
        kind = type(found).__name__
        raise ConfigError(f"auth.path: {settings.path} must be a langgraph_sdk.Auth object; it is a {kind}.")
    return CustomAuthentication(found, settings)


def warn_of_gaps(authentication: CustomAuthentication) -> None:
    """Say in the log what everybody may do (spec 18.4)."""
    if authentication.anonymous:
        log.warning("the project has no authentication handler: every caller is anonymous")
    if uncovered := authentication.uncovered:
        log.warning("every authenticated caller may do what no handler is for", events=", ".join(uncovered))
