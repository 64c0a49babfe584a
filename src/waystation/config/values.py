"""How the text of an environment variable becomes a value. Every parser raises ValueError with a text for a person."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

__all__ = [
    "NOT_SHOWN",
    "aes_key",
    "aes_keys",
    "api_keys",
    "json_object",
    "log_level",
    "model_configurations",
    "number",
    "postgres_uri",
    "redis_uri",
    "secret_keys",
    "secrets",
    "switch",
    "text",
    "whole_number",
    "words",
]

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def text(value: str) -> str:
    """The text itself."""
    return value


def words(value: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in value.split(",") if word.strip()]


def secrets(value: str) -> tuple[str, ...]:
    """A comma-separated list of keys."""
    return tuple(words(value))


LEAST_KEY = 32
"""Characters of a secret key. It is used as it is, so that one that can be guessed could be found by trying."""


def secret_keys(value: str) -> tuple[str, ...]:
    """A comma-separated list of keys that cannot be guessed."""
    keys = secrets(value)
    if not keys or min(map(len, keys)) < LEAST_KEY:
        raise ValueError(f"must hold random keys of at least {LEAST_KEY} characters each, with commas between them")
    return keys


BASE64 = "base64:"
"""What an AES key begins with that is not given as it is."""

KEY_BYTES = (16, 24, 32)


def aes_key(value: str) -> bytes:
    """A key of 16, 24 or 32 bytes: the text itself, or base64 after ``base64:``."""
    if value.startswith(BASE64):
        try:
            key = base64.b64decode(value[len(BASE64) :], validate=True)
        except ValueError:
            raise ValueError("must be valid base64 after base64:") from None
    else:
        key = value.encode()
    if len(key) not in KEY_BYTES:
        raise ValueError(f"must be 16, 24 or 32 bytes long; it has {len(key)}")
    return key


def aes_keys(value: str) -> tuple[bytes, ...]:
    """A comma-separated list of such keys. One with a comma in it has to be given as base64."""
    return tuple(map(aes_key, words(value)))


def switch(value: str) -> bool:
    """Yes or no."""
    lowered = value.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("must be true or false")


def api_keys(value: str) -> bool:
    """Whether an API key is asked for: ``api-key`` or ``none``."""
    kind = value.strip().lower()
    if kind not in ("api-key", "none", "noop"):
        raise ValueError("must be api-key or none")
    return kind == "api-key"


def log_level(value: str) -> str:
    """A name of the logging module's levels, in capitals."""
    level = value.strip().upper()
    level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    if level not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}")
    return level


def whole_number(least: int) -> Callable[[str], int]:
    """A parser of integers that are at least `least`."""

    def parse(value: str) -> int:
        try:
            result = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if result < least:
            raise ValueError(f"must be at least {least}")
        return result

    return parse


def number(*, above: float | None = None, least: float | None = None) -> Callable[[str], float]:
    """A parser of finite numbers greater than `above` or at least `least`."""

    def parse(value: str) -> float:
        try:
            result = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        if not math.isfinite(result):
            raise ValueError("must be a finite number")
        if above is not None and result <= above:
            raise ValueError(f"must be more than {above:g}")
        if least is not None and result < least:
            raise ValueError(f"must be at least {least:g}")
        return result

    return parse


def json_object(value: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        result = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(result, dict):
        raise ValueError("must be a JSON object")
    return result


def model_configurations(value: str) -> dict[str, dict[str, Any]]:
    """A JSON object of model configurations by name."""
    result = json_object(value)
    for name, configuration in result.items():
        if not name.strip() or ":" in name:
            raise ValueError(f"must have names without a colon; {name!r} is none")
        if not isinstance(configuration, dict):
            raise ValueError(
                f'must have objects as values, such as {{"model": "provider:model"}}; that of {name!r} is none'
            )
        provider, _, model = str(configuration.get("model", "")).partition(":")
        if not provider or not model:
            raise ValueError(f'must say for each name what it stands for; {name!r} lacks "model": "provider:model"')
    return result


def postgres_uri(value: str) -> str:
    """A connection URI of PostgreSQL."""
    return _uri(value, "postgresql", "postgres")


def redis_uri(value: str) -> str:
    """A connection URI of Redis or Valkey."""
    return _uri(value, "redis", "rediss", "unix")


def _uri(value: str, *schemes: str) -> str:
    scheme, separator, _ = value.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"must start with {' or '.join(f'{each}://' for each in schemes)}")
    return value


NOT_SHOWN = frozenset(
    {aes_key, aes_keys, json_object, model_configurations, postgres_uri, redis_uri, secret_keys, secrets}
)
"""Parsers of what may be long or hold a password: errors about it do not repeat it."""
