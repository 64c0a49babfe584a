"""Agent cards: what an assistant is and how to talk to it (spec 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["card_of", "output_modes"]

MODES = ("application/json", "text/plain")


def card_of(request: Request, assistant: Mapping[str, Any]) -> dict[str, Any]:
    """The AgentCard of an assistant, as both generations of the protocol read it."""
    server: Server = request.app.state.server
    base = f"{request.url.scheme}://{request.url.netloc}{server.config.http.mount_prefix}"
    url = f"{base}/a2a/{assistant['assistant_id']}"
    name = assistant["name"]
    description = assistant["description"] or f"The assistant {name!r} ({assistant['graph_id']})."
    return {
        "name": name,
        "description": description,
        "url": url,
        "protocolVersion": "0.3.0",
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version} for version in ("1.0", "0.3")
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": server.webhooks.sent,
            "stateTransitionHistory": False,
            "extendedAgentCard": True,
            "extensions": [],
        },
        "supportsAuthenticatedExtendedCard": True,
        "defaultInputModes": _modes(assistant, "input_modes"),
        "defaultOutputModes": output_modes(assistant),
        "skills": [
            {
                "id": f"{assistant['assistant_id']}-main",
                "name": name,
                "description": description,
                "tags": [assistant["graph_id"]],
            }
        ],
        "version": str(assistant["version"]),
    }


def output_modes(assistant: Mapping[str, Any]) -> list[str]:
    """The media types that the agent answers with."""
    return _modes(assistant, "output_modes")


def _modes(assistant: Mapping[str, Any], which: str) -> list[str]:
    """The modes that the assistant's metadata names, or else the usual ones."""
    own = assistant["metadata"].get("a2a")
    chosen = own.get(which) if isinstance(own, Mapping) else None
    return [str(mode) for mode in chosen] if isinstance(chosen, list) and chosen else list(MODES)
