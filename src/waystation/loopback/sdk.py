"""What the LangGraph SDK imports when `get_client` is called without a URL.

It looks for a package ``langgraph_api``: for the transport that reaches the server which runs the caller, and for that server. Both
are provided here under those names. Nothing is imported before the SDK asks, and an installed ``langgraph_api`` keeps its other
modules.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["provide_transport"]

PACKAGE = "langgraph_api"


def provide_transport() -> None:
    """Let ``get_client()`` find the server that runs the code which uses the client. Call it before that code is imported."""
    modules: dict[str, ModuleType] = sys.modules
    if PACKAGE not in modules and find_spec(PACKAGE) is None:
        package = ModuleType(PACKAGE, "Only what the SDK looks for here: see waystation.loopback.")
        package.__path__ = []
        modules[PACKAGE] = package
    server = ModuleType(f"{PACKAGE}.server")
    server.app = None  # type: ignore[attr-defined]  # the transport finds the server by itself
    transport = ModuleType(f"{PACKAGE}.asgi_transport")
    transport.__getattr__ = _transport  # type: ignore[method-assign]  # PEP 562
    for module in (server, transport):
        modules[module.__name__] = module


def _transport(name: str) -> Any:
    if name != "ASGITransport":
        raise AttributeError(f"module '{PACKAGE}.asgi_transport' has no attribute {name!r}")
    from waystation.loopback.transport import LoopbackTransport

    return LoopbackTransport
