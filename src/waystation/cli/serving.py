"""Serving a project from this process: `waystation serve`, `waystation dev --no-reload`, and each process under `dev`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from waystation.cli.banner import show_banner
from waystation.cli.listening import Listener
from waystation.cli.starting import hasten_start

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.graphs import Graphs

__all__ = ["DEV_GRACE_S", "configuration", "serve_here", "serve_project", "set_up_log"]

DEV_GRACE_S = 2
"""Seconds that requests and runs get to finish under `dev`; runs that need longer go on in the next process."""


def serve_here(
    config_path: Path, host: str, port: int, settings: Mapping[str, str], longest_grace_s: float | None = None
) -> None:
    """Serve the project until SIGINT or SIGTERM. Raises ConfigError when the port, the project or the data is unusable."""
    hasten_start()
    listener = Listener(host, port)
    config = configuration(config_path, settings, longest_grace_s)
    set_up_log(config)
    url = listener.url + config.http.mount_prefix
    serve_project(config, listener.open(), lambda: show_banner(url, config.graphs, config.data_dir))


def configuration(config_path: Path, settings: Mapping[str, str], longest_grace_s: float | None = None) -> Config:
    """The project's configuration with the variables `settings` over those of the process. Raises ConfigError."""
    from waystation.config import load_config

    config = load_config(config_path, {**os.environ, **settings})
    if longest_grace_s is None:
        return config
    return replace(config, shutdown_grace_s=min(config.shutdown_grace_s, longest_grace_s))


def set_up_log(config: Config) -> None:
    """Make this process log as `config` says."""
    from waystation.observability.logs import configure_logs

    configure_logs(config.log_level, json=config.log_json, color=config.log_color)


def serve_project(
    config: Config, listener: socket.socket, on_serving: Callable[[], None], graphs: Graphs | None = None
) -> None:
    """Serve `config` on `listener` until a signal; `graphs` if they are loaded already. Raises ConfigError, GraphLoadError."""
    from waystation.app import create_app
    from waystation.cli.server import run

    run(create_app(config, graphs), listener, config.shutdown_grace_s, on_serving)
