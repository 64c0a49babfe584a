"""A process under `waystation serve --workers`: ``python -m waystation.cli.member ROLE CONFIG CONTROL [LISTENER]``.

It says once whether it does its work, and stops in good order when its supervisor tells it to or is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import cast

from waystation.cli.control import Verdict
from waystation.cli.serving import configuration, prepare, serve_project
from waystation.cli.starting import hasten_start, with_room
from waystation.roles import Role

__all__ = ["main"]


@with_room
def main() -> None:
    """Run the process that `sys.argv` describes. Exit code 1 after a reported error."""
    role, config_path = cast("Role", sys.argv[1]), Path(sys.argv[2])
    control, *listener = (socket.socket(fileno=int(number)) for number in sys.argv[3:])
    threading.Thread(target=_stop_with_the_supervisor, args=(control,), daemon=True).start()
    hasten_start()
    try:
        config = configuration(config_path, {})
        prepare(config)
        serve_project(config, listener[0] if listener else None, lambda: control.sendall(Verdict().line()), role=role)
    except Exception as error:  # noqa: BLE001 - told to the supervisor, which shows it
        control.sendall(Verdict.of_error(error).line())
        sys.exit(1)


def _stop_with_the_supervisor(control: socket.socket) -> None:
    """Wait for the other end of `control` to close: nobody would start this process anew, or knows of it."""
    control.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
