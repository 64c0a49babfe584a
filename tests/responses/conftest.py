"""The official client of OpenAI, asynchronous, against the server that tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from tests.driver import Driver


@pytest.fixture
async def client(driver: Driver) -> AsyncIterator[AsyncOpenAI]:
    url = str(driver.http.base_url).rstrip("/")
    # No TLS: reading the certificates would take longer than most of these tests.
    async with DefaultAsyncHttpxClient(verify=False, timeout=30) as http:
        yield AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0, http_client=http)
