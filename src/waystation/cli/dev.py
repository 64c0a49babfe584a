"""`waystation dev`: one process with SQLite, loaded anew when the project changes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from waystation.cli.listening import Listener

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["dev_config", "serve_and_reload", "serve_once", "serve_project"]

GRACE_S = 2
"""Seconds that requests and runs get to finish before a reload; runs that need longer go on in the next process."""


def serve_and_reload(config_path: Path, host: str, port: int, settings: Mapping[str, str]) -> None:
    """Serve the project until Ctrl-C, in a process of its own that is replaced when the project changes."""
    import asyncio

    from waystation.cli.supervisor import Supervisor

    listener = Listener(host, port)
    asyncio.run(Supervisor(config_path.absolute(), listener, {**os.environ, **settings}).run())


def serve_once(config_path: Path, host: str, port: int, settings: Mapping[str, str]) -> None:
    """Serve the project until Ctrl-C, in this process. Raises ConfigError when it does not load."""
    from waystation.cli.banner import banner

    listener = Listener(host, port)
    config = dev_config(config_path, settings)
    serve_project(
        config, listener.open(), lambda: print(banner(listener.url, config.graphs, str(config.data_dir)), file=sys.stderr)
    )


def dev_config(config_path: Path, settings: Mapping[str, str]) -> Config:
    """The project's configuration with `settings` over the environment. Raises ConfigError."""
    from waystation.config import load_config

    config = load_config(config_path, {**os.environ, **settings})
    return replace(config, shutdown_grace_s=min(config.shutdown_grace_s, GRACE_S))


def serve_project(config: Config, listener: socket.socket, on_serving: Callable[[], None]) -> None:
    """Serve `config` on `listener` until a signal. Raises ConfigError and GraphLoadError."""
    from waystation.app import create_app
    from waystation.cli.server import run

    run(create_app(config), listener, config.shutdown_grace_s, on_serving)
