"""The ``webhooks`` section and the variables beside it, as a `WebhookConfig` (spec 11, 19)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from waystation.config.model import WebhookConfig
from waystation.config.project import Webhooks
from waystation.errors import ConfigError

__all__ = ["webhook_config"]

DEFAULT_ENV_PREFIX = "LG_WEBHOOK_"

_TEMPLATE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OF_ENV = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def webhook_config(section: Webhooks | None, given: Mapping[str, Any], variables: Mapping[str, str]) -> WebhookConfig:
    """`section` with the settings `given` by variables. Raises ConfigError, also for a template whose variable is missing."""
    own = {name.removeprefix("webhooks."): value for name, value in given.items() if name.startswith("webhooks.")}
    if section is None:
        return WebhookConfig(**own)
    url = section.url
    if url is not None:
        own.update(
            require_https=url.require_https,
            allowed_domains=None if url.allowed_domains is None else tuple(map(str.lower, url.allowed_domains)),
            allowed_ports=None if url.allowed_ports is None else tuple(url.allowed_ports),
            max_url_length=2048 if url.max_url_length is None else url.max_url_length,
            disable_loopback=url.disable_loopback,
            disable_private_ips=url.disable_private_ips,
            has_url_policy=True,
        )
    prefix = DEFAULT_ENV_PREFIX if section.env_prefix is None else section.env_prefix
    return WebhookConfig(
        headers={name: _filled(name, text, prefix, variables) for name, text in (section.headers or {}).items()},
        allowed_fields=None if section.allowed_fields is None else frozenset(section.allowed_fields),
        **own,
    )


def _filled(name: str, text: str, prefix: str, variables: Mapping[str, str]) -> str:
    """A header's value with its templates replaced by variables."""

    def value_of(match: re.Match[str]) -> str:
        expression = _OF_ENV.fullmatch(match[1])
        if expression is None:
            raise ConfigError(f"webhooks.headers.{name}: {match[0]!r} must have the form ${{{{ env.NAME }}}}.")
        variable = expression[1]
        if not variable.startswith(prefix):
            raise ConfigError(
                f"webhooks.headers.{name}: the variable {variable} must begin with {prefix} (env_prefix)."
            )
        if variable not in variables:
            raise ConfigError(f"webhooks.headers.{name}: the variable {variable} is not set.")
        return variables[variable]

    if not _HEADER_NAME.fullmatch(name):
        raise ConfigError(f"webhooks.headers: {name!r} cannot be the name of a header.")
    value = _TEMPLATE.sub(value_of, text)
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"webhooks.headers.{name}: the value must be printable ASCII.")
    return value
