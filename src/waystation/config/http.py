"""The ``http`` section and the variables beside it, as an `HttpConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from waystation.config.model import HttpConfig
from waystation.config.project import FAMILIES, Cors, Headers, Http
from waystation.errors import ConfigError

__all__ = ["DEFAULT_CORS", "http_config"]

DEFAULT_CORS: Mapping[str, Any] = {
    "allow_origins": ["*"],
    "allow_methods": ["*"],
    "allow_headers": ["*"],
    "allow_credentials": False,
    "expose_headers": ["x-pagination-total", "x-pagination-next", "content-location", "location"],
}
"""The CORS policy when none is configured (spec 1.5), as arguments of Starlette's CORSMiddleware. Beyond the reference it
exposes ``Location``, which the JavaScript SDK needs in a browser to take up a lost stream again."""


def http_config(section: Http, given: Mapping[str, Any]) -> HttpConfig:
    """`section` with the settings `given` by variables, which win. Raises ConfigError."""
    return HttpConfig(
        disabled=frozenset(family for family in FAMILIES if getattr(section, f"disable_{family}")),
        cors=_cors(section, given),
        configurable_headers=_headers(section.configurable_headers),
        logging_headers=_headers(section.logging_headers),
        mount_prefix=_mount_prefix(section, given),
        disable_webhooks=section.disable_webhooks,
        app=section.app,
        protect_app=section.enable_custom_route_auth,
        auth_first=section.middleware_order == "auth_first",
    )


def _cors(section: Http, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "http.cors" in given:
        try:
            policy = Cors.model_validate(given["http.cors"])
        except ValidationError as error:
            raise ConfigError(f"Environment variable CORS_CONFIG: {_first_problem(error)}.") from None
    elif section.cors is not None:
        policy = section.cors
    elif "cors_allow_origins" in given:
        return {**DEFAULT_CORS, "allow_origins": given["cors_allow_origins"]}
    else:
        return None
    return policy.model_dump(exclude_none=True, include=set(Cors.model_fields))


def _first_problem(error: ValidationError) -> str:
    item = error.errors()[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"


def _headers(section: Headers | None) -> dict[str, list[str]] | None:
    return None if section is None else section.patterns()


def _mount_prefix(section: Http, given: Mapping[str, Any]) -> str:
    prefix: str = given.get("http.mount_prefix", section.mount_prefix) or ""
    trimmed = prefix.rstrip("/")
    source = "Environment variable MOUNT_PREFIX" if "http.mount_prefix" in given else "http.mount_prefix"
    if prefix and not prefix.startswith("/"):
        raise ConfigError(f"{source}: must start with '/'; it is {prefix!r}.")
    if trimmed.startswith("/noauth"):
        raise ConfigError(f"{source}: paths that start with /noauth are reserved.")
    return trimmed
