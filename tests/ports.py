"""Ports for servers under test, which stay theirs while a killed server waits to be started again.

The system gives ports from 32768 on to connections, and to whoever asks for any port; these here are below. Of the pytest
processes that run side by side each has ports of its own.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from contextlib import suppress

__all__ = ["WORKER", "free_port"]

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
"""The name of this pytest process: ``gw`` and a number."""

FIRST, EACH, SHARES = 20_000, 1_000, 12

_share = FIRST + EACH * (int(WORKER.removeprefix("gw")) % SHARES)
_candidates = itertools.cycle(random.sample(range(_share, _share + EACH), EACH))


def free_port() -> int:
    """A port that nobody listens on, and that this process does not give again soon."""
    for port in itertools.islice(_candidates, EACH):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free from {_share} to {_share + EACH - 1}")
