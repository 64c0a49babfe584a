"""Building the `Config` from ``langgraph.json`` and the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from waystation.config import settings, values
from waystation.config.encryption import encryption_config
from waystation.config.environment import read_env
from waystation.config.http import http_config
from waystation.config.model import AuthConfig, Config, GraphSpec, IndexConfig, StoreConfig
from waystation.config.project import AuthSection, Project, Store, ThreadTtl, unknown_keys
from waystation.config.support import unsupported
from waystation.config.webhooks import webhook_config
from waystation.errors import ConfigError

__all__ = ["load_config"]

LONG_GRACE_S = 3600
"""Beyond this a shutdown looks like a hang to whatever supervises the process (spec 22)."""


DATA_DIR = ".waystation"
"""Beside the configuration file."""


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in the file `path` and the variables `environ`.

    A variable of the process wins over one of the project's ``env`` key, and a variable over the file's section of the same
    meaning. `path` may be missing when ``LANGSERVE_GRAPHS`` gives the graphs, as in an image. Raises ConfigError that names
    the file or variable, the key and the cause.
    """
    path = path.absolute()
    raw = _read_file(path, needed=not environ.get("LANGSERVE_GRAPHS", "").strip())
    env, notices = read_env(path, raw.get("env"))
    variables = {**env, **environ}
    sections = _sections(variables)
    project = _validate(path, {**raw, **sections}, sections)
    given = settings.read(variables)
    directories, requirements = _dependencies(path, project.dependencies)
    direct = {field.name for field in fields(Config)} & given.keys()
    config = Config(
        **{
            "project_dir": path.parent,
            "graphs": {key: GraphSpec(key, entry.path, entry.description) for key, entry in project.graphs.items()},
            "dependencies": directories,
            "env": env,
            "http": http_config(project.http, given),
            "auth": _auth(path, project.auth),
            "encryption": encryption_config(project.encryption, given),
            "webhooks": webhook_config(project.webhooks, given, variables),
            "store": _store(project.store),
            "checkpointer": _checkpointer(project, given),
            "unsupported": unsupported(project, variables),
            **{name: given[name] for name in direct},
            "data_dir": path.parent / given.get("data_dir", DATA_DIR),
        }
    )
    _check_graph_configs(config)
    if config.auth is not None and config.api_keys:
        raise ConfigError(
            f"{path}: auth: the project authenticates by itself, and WAYSTATION_AUTH asks for API keys; choose one."
        )
    return replace(config, notices=(*notices, *_notices(config, project, requirements)))


def _read_file(path: Path, needed: bool) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if needed:
            raise ConfigError(f"{path}: the file does not exist.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        raw = json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must hold a JSON object.")
    return raw


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} appears twice")
        result[key] = value
    return result


def _sections(variables: Mapping[str, str]) -> dict[str, Any]:
    return {
        section: settings.parse(variable, variables[variable], values.json_object)
        for variable, section in settings.SECTIONS.items()
        if variables.get(variable, "").strip() not in ("", "null")
    }


def _validate(path: Path, raw: dict[str, Any], sections: Mapping[str, Any]) -> Project:
    if "graphs" not in raw:
        raise ConfigError(f'{path}: graphs: the key is missing; give {{"<graph id>": "./file.py:variable"}}.')
    try:
        return Project.model_validate(raw)
    except ValidationError as error:
        variable_of = {section: variable for variable, section in settings.SECTIONS.items()}
        problems = []
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:5]:
            key = ".".join(str(part) for part in item["loc"])
            top = str(item["loc"][0])
            source = f"environment variable {variable_of[top]}" if top in sections else str(path)
            problems.append(f"{source}: {key}: {item['msg'].removeprefix('Value error, ')}")
        raise ConfigError("; ".join(problems)) from None


def _dependencies(path: Path, entries: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Local directories (absolute) and package requirements among `entries`."""
    directories, requirements = [], []
    for entry in entries:
        if not entry.startswith(".") and not Path(entry).is_absolute():
            requirements.append(entry)
            continue
        directory = (path.parent / entry).resolve()
        if not directory.is_dir():
            raise ConfigError(f"{path}: dependencies: {entry!r} is not a directory.")
        directories.append(str(directory))
    return tuple(directories), tuple(requirements)


def _auth(path: Path, section: AuthSection | None) -> AuthConfig | None:
    if section is None or not section.model_fields_set:
        return None
    if section.path is None:
        raise ConfigError(f"{path}: auth.path: the key is missing; a server that is to authenticate needs to know how.")
    config = AuthConfig(section.path, section.disable_studio_auth, section.openapi)
    if section.cache is None:
        return config
    headers = tuple(name.lower() for name in section.cache.cache_keys)
    return replace(
        config, cache_headers=headers, cache_ttl_s=section.cache.ttl_seconds, cache_size=section.cache.max_size
    )


def _store(section: Store) -> StoreConfig:
    index = section.index
    return StoreConfig(
        ttl={} if section.ttl is None else section.ttl.model_dump(exclude_unset=True),
        index=None if index is None else IndexConfig(index.dims, index.embed, tuple(index.fields)),
        path=section.path,
    )


def _checkpointer(project: Project, given: Mapping[str, Any]) -> dict[str, Any]:
    section = project.checkpointer.model_dump(exclude_unset=True)
    if "thread_ttl" in given:
        section["ttl"] = settings.parse("LANGGRAPH_THREAD_TTL", given["thread_ttl"], _thread_ttl)
    return section


def _thread_ttl(text: str) -> dict[str, Any]:
    """A number of minutes (strategy delete is implied) or the object of ``checkpointer.ttl`` (spec 21)."""
    try:
        value = json.loads(text)
        ttl = ThreadTtl.model_validate(value if isinstance(value, dict) else {"default_ttl": value})
    except ValueError:
        raise ValueError("must be a number of minutes or an object like checkpointer.ttl") from None
    return {"strategy": "delete", **ttl.model_dump(exclude_unset=True)}


def _check_graph_configs(config: Config) -> None:
    for graph_id, value in config.graph_configs.items():
        if not isinstance(value, dict):
            raise ConfigError(f"Environment variable LANGGRAPH_CONFIG: {graph_id}: must be an object.")


def _notices(config: Config, project: Project, requirements: tuple[str, ...]) -> Iterator[str]:
    if requirements:
        yield (
            "dependencies: package requirements are not installed by this server; "
            f"they must be in its environment: {', '.join(requirements)}"
        )
    for key in unknown_keys(project):
        yield f"{key}: this key means nothing to this server"
    for graph_id in config.graph_configs.keys() - config.graphs.keys():
        yield f"LANGGRAPH_CONFIG: there is no graph {graph_id!r}"
    if config.http.app is None:
        for key in ("enable_custom_route_auth", "middleware_order"):
            if key in project.http.model_fields_set:
                yield f"http.{key}: has no effect without http.app"
    elif config.http.protect_app and config.auth is None and not config.api_keys:
        yield "http.enable_custom_route_auth: has no effect on a server without authentication"
    if config.shutdown_grace_s > LONG_GRACE_S:
        yield f"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS: stopping may take {config.shutdown_grace_s:g} seconds"
