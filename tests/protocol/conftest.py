"""Clients of the event streaming protocol on the live server."""

from __future__ import annotations

import pytest

from tests.bus.conftest import fleet, key_prefix
from tests.driver import Driver
from tests.protocol.client import Client

__all__ = ["client", "fleet", "key_prefix"]


@pytest.fixture
def client(driver: Driver) -> Client:
    """On a thread that is not there yet."""
    return Client(driver.http, driver.new_id())
