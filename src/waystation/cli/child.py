"""The server process under `waystation dev`: ``python -m waystation.cli.child CONFIG CONTROL LISTENER`` (two descriptors).

It loads the project, reports, waits until the port is its to serve, and serves. A supervisor that is gone takes it along.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from waystation.cli.control import GO, Verdict
from waystation.cli.serving import configuration, prepare, serve_project
from waystation.cli.starting import hasten_start, with_room

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.graphs import Graphs

__all__ = ["main"]


@with_room
def main() -> None:
    """Run the process that `sys.argv` describes. Exit code 1 after a reported error."""
    config_path, control, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3])
    # The terminal sends these to this process too; it is the supervisor that ends it.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    directories: tuple[str, ...] = ()
    hasten_start()
    try:
        config = configuration(config_path, {}, dev=True)
        directories = _code_directories(config)
        prepare(config)
        graphs = _load(config)
        well = _verdict(config, directories).line()
        control.sendall(well)
        if control.recv(len(GO)) != GO:
            return
        threading.Thread(target=_leave_with_the_supervisor, args=(control,), daemon=True).start()
        serve_project(config, socket.socket(fileno=listener), lambda: control.sendall(well), graphs=graphs)
    except Exception as error:  # noqa: BLE001 - told to the supervisor, which shows it
        control.sendall(Verdict.of_error(error, directories).line())
        sys.exit(1)


def _code_directories(config: Config) -> tuple[str, ...]:
    """The dependencies, and where the files are that the configuration names."""
    files = (reference.rpartition(":")[0] for reference in config.references)
    parents = ((config.project_dir / file).resolve().parent for file in files if "/" in file)
    return (*config.dependencies, *(str(parent) for parent in parents))


def _load(config: Config) -> Graphs:
    """Load everything that can be loaded while another process serves. Raises ConfigError and GraphLoadError."""
    import waystation.cli.server  # noqa: F401
    from waystation.app import load_project

    return load_project(config)


def _verdict(config: Config, directories: tuple[str, ...]) -> Verdict:
    return Verdict(
        directories=directories,
        graphs=tuple(config.graphs),
        data_dir=str(config.data_dir),
        mount_prefix=config.http.mount_prefix,
    )


def _leave_with_the_supervisor(control: socket.socket) -> None:
    """Wait for the other end of `control` to close, and then leave as the supervisor did: at once."""
    control.recv(1)
    os._exit(1)


if __name__ == "__main__":
    main()
