"""Serving a project from this process: `waystation serve`, `waystation worker`, and each process under a supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from waystation.cli.banner import database_label, show_banner, show_worker_banner
from waystation.cli.listening import Listener
from waystation.cli.starting import hasten_libraries, hasten_start, with_room
from waystation.errors import ConfigError
from waystation.roles import Role, require_shared
from waystation.secrets.key_file import KEY_FILE

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.graphs import Graphs

__all__ = [
    "configuration",
    "prepare",
    "require_authentication",
    "serve_here",
    "serve_project",
    "set_up_log",
    "work_here",
]

DEV_GRACE_S = 2
"""Seconds that requests and runs get to finish under `dev`; runs that need longer go on in the next process."""


@with_room
def serve_here(
    config_path: Path, host: str, port: int, settings: Mapping[str, str], *, dev: bool = False, api_only: bool = False
) -> None:
    """Serve the project until SIGINT or SIGTERM. Raises ConfigError when the port, the project or the data is unusable."""
    hasten_start()
    listener = Listener(host, port)
    config = configuration(config_path, settings, dev=dev)
    if api_only:
        require_shared(config, "--api-only")
    prepare(config)
    url = listener.url + config.http.mount_prefix
    serve_project(
        config,
        listener.open(),
        lambda: show_banner(url, config.graphs, database_label(config)),
        role="api" if api_only else "all",
    )


@with_room
def work_here(config_path: Path, host: str, port: int | None, settings: Mapping[str, str]) -> None:
    """Execute runs until SIGINT or SIGTERM; answer for this process on `port` if there is one. Raises ConfigError."""
    hasten_start()
    listener = None if port is None else Listener(host, port)
    config = configuration(config_path, settings)
    require_shared(config, "waystation worker")
    prepare(config)
    url = None if listener is None else listener.url
    serve_project(
        config,
        None if listener is None else listener.open(),
        lambda: show_worker_banner(config.jobs_per_worker, config.graphs, database_label(config), url),
        role="worker",
    )


def configuration(config_path: Path, settings: Mapping[str, str], *, dev: bool = False) -> Config:
    """The project's configuration with the variables `settings` over those of the process. That for `dev` keeps to this
    machine and this process whatever database and bus the project has in production. Raises ConfigError."""
    from waystation.config import load_config

    config = load_config(config_path, {**os.environ, **settings})
    if not dev:
        return config
    notices = config.notices
    if config.database_uri or config.redis_uri:
        notices = (*notices, "DATABASE_URI and REDIS_URI have no effect under dev, which keeps its data in SQLite")
    grace_s = min(config.shutdown_grace_s, DEV_GRACE_S)
    auth = config.auth
    if auth is not None and auth.disable_studio_auth is None:
        auth = replace(auth, disable_studio_auth=False)
    return replace(
        config,
        auth=auth,
        database_uri=None,
        redis_uri=None,
        shutdown_grace_s=grace_s,
        notices=notices,
        key_file=config.data_dir / KEY_FILE,
    )


def require_authentication(config_path: Path, settings: Mapping[str, str], host: str) -> None:
    """Raise ConfigError for a project that lets everybody in who can reach `host`."""
    config = configuration(config_path, settings)
    if config.auth is None and not config.api_keys:
        raise ConfigError(
            f"Refusing to listen on {host} without authentication: everyone who can reach it could use this server. "
            "Ask for API keys (WAYSTATION_AUTH=api-key, `waystation keys create`), give the project an authentication of its own "
            "(`auth` in the configuration file), listen on 127.0.0.1 behind a proxy that authenticates, or pass --no-auth if the "
            "network is trusted."
        )


def prepare(config: Config) -> None:
    """Make this process ready to load and serve the project."""
    hasten_libraries({**config.env, **os.environ})
    set_up_log(config)


def set_up_log(config: Config) -> None:
    """Make this process log as `config` says."""
    from waystation.observability.logs import configure_logs

    configure_logs(config.log_level, json=config.log_json, color=config.log_color)


def serve_project(
    config: Config,
    listener: socket.socket | None,
    on_serving: Callable[[], None],
    *,
    role: Role = "all",
    graphs: Graphs | None = None,
) -> None:
    """Serve `config` on `listener`, if it has one, until a signal; `graphs` if they are loaded already.

    Raises ConfigError and GraphLoadError."""
    from waystation.app import create_app
    from waystation.cli.server import run

    run(create_app(config, graphs, role), listener, on_serving)
