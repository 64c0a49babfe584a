"""The ``env`` key of ``langgraph.json``: the path of a dotenv file, or an object of variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from waystation.errors import ConfigError

__all__ = ["read_env"]


def read_env(config_file: Path, env: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables that `env` gives, and notices about them. Raises ConfigError.

    A missing dotenv file is only a notice: images leave it out and give the variables themselves.
    """
    if env is None:
        return {}, ()
    if isinstance(env, str):
        return _dotenv(config_file, env)
    if isinstance(env, dict):
        return {key: _text(config_file, key, value) for key, value in env.items()}, ()
    raise ConfigError(f"{config_file}: env: must be the path of a dotenv file or an object of variables.")


def _dotenv(config_file: Path, name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    file = config_file.parent / name
    if not file.exists():
        return {}, (f"env: the file {file} does not exist",)
    try:
        found = dotenv_values(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_file}: env: {file} cannot be read: {error}") from error
    return {key: value for key, value in found.items() if value is not None}, ()


def _text(config_file: Path, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigError(f"{config_file}: env.{key}: must be a string.")
