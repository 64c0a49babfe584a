"""Calls to a server from the code that it runs: ``langgraph_sdk.get_client()`` without a URL, in graphs and in a custom app."""

from waystation.loopback.sdk import provide_transport
from waystation.loopback.server import Loopback, current_loopback

__all__ = ["Loopback", "current_loopback", "provide_transport"]
