"""The server process under `waystation dev`: ``python -m waystation.cli.child CONFIG LISTENER CONTROL`` (two descriptors).

It loads the project, reports, waits until the port is free for it, and serves. A supervisor that is gone takes it along.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path

from waystation.cli.control import GO, Verdict
from waystation.errors import WaystationError

__all__ = ["main"]


def main() -> None:
    """Run the process that `sys.argv` describes."""
    config_path, listener, control = Path(sys.argv[1]), int(sys.argv[2]), socket.socket(fileno=int(sys.argv[3]))
    # Ctrl-C reaches this process too; before it serves, the supervisor ends it.
    signal.signal(signal.SIGINT, lambda *_: None)
    directories: tuple[str, ...] = ()
    try:
        from waystation.cli.dev import dev_config
        from waystation.graphs import Graphs

        config = dev_config(config_path, {})
        directories = config.dependencies
        loaded = Verdict(directories=directories, graphs=tuple(config.graphs), data_dir=str(config.data_dir))
        Graphs.load(config)
        control.sendall(loaded.line())
        if control.recv(len(GO)) != GO:
            return
        threading.Thread(target=_end_with, args=(control,), daemon=True).start()

        from waystation.cli.dev import serve_project

        serve_project(config, socket.socket(fileno=listener), lambda: control.sendall(loaded.line()))
    except WaystationError as error:
        control.sendall(Verdict(error.message, directories).line())
        sys.exit(1)
    except Exception:  # noqa: BLE001 - told to the supervisor, which shows it
        control.sendall(Verdict(traceback.format_exc(), directories).line())
        sys.exit(1)


def _end_with(control: socket.socket) -> None:
    """Wait for the supervisor's end of `control` to close, which says nothing before; then leave as it left: at once."""
    control.recv(1)
    os._exit(1)


if __name__ == "__main__":
    main()
