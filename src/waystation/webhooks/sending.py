"""One attempt to deliver a webhook: the request, the redirects it may take, and what its answer means (spec 11)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Literal

import httpx
from msgspec import Struct

from waystation import __version__
from waystation.config import WebhookConfig
from waystation.encoding import decode, encode
from waystation.outgoing import UrlRefused
from waystation.timestamps import MICROSECONDS, iso, now_us
from waystation.webhooks.outbox import Delivery
from waystation.webhooks.policy import is_local
from waystation.webhooks.signature import SIGNATURE_HEADER, signature

__all__ = ["REQUEST_S", "Result", "Sender", "duration_ms", "timeout"]

CONNECT_S = 5
REQUEST_S = 30
"""For everything, redirects included."""

MAX_REDIRECTS = 5
KEEPING_METHOD = frozenset({301, 302, 307, 308})
"""Redirects that are followed, with the same request: a webhook is never turned into a GET."""

TEMPORARY = frozenset({408, 425, 429})
"""Refusals that may not be repeated; so may not those of 500 and above."""

LONGEST_ERROR = 500
"""Characters of an error that the log keeps."""

LOCAL_ORIGIN = "http://waystation.local"
"""What a path of this server is completed to."""


class Result(Struct, frozen=True):
    """What became of an attempt."""

    kind: Literal["delivered", "temporary", "final"]
    """``temporary``: another attempt may succeed."""
    status: int | None = None
    """Of the answer, if there was one."""
    error: str | None = None
    retry_after_s: float | None = None
    """What the receiver asked for."""


class Sender:
    """Sends deliveries over `client`, whose transport checks where they go; those to a path of this server over `local`."""

    def __init__(self, settings: WebhookConfig, client: httpx.AsyncClient, local: httpx.AsyncClient | None) -> None:
        self._settings = settings
        self._client = client
        self._local = local

    async def send(self, delivery: Delivery) -> Result:
        """Make one attempt. Never raises but for its cancellation."""
        try:
            async with asyncio.timeout(REQUEST_S):
                return await self._follow(delivery)
        except UrlRefused as error:
            return Result("final", error=error.message[:LONGEST_ERROR])
        except TimeoutError:
            return Result("temporary", error=f"no answer within {REQUEST_S} s")
        except httpx.HTTPError as error:
            return Result("temporary", error=f"{type(error).__name__}: {error}"[:LONGEST_ERROR])
        except Exception as error:  # noqa: BLE001 - an answer can be wrong in any way; the log tells it
            return Result("temporary", error=f"{type(error).__name__}: {error}"[:LONGEST_ERROR])

    async def _follow(self, delivery: Delivery) -> Result:
        now = now_us()
        body = self._body(delivery, now)
        own = {
            "Content-Type": "application/json",
            "User-Agent": f"waystation/{__version__}",
            "Waystation-Delivery": delivery.delivery_id,
        }
        if self._settings.secrets:
            own[SIGNATURE_HEADER] = signature(self._settings.secrets, now // MICROSECONDS, body)
        headers = {**own, **self._settings.headers, **({} if delivery.headers is None else decode(delivery.headers))}
        client, url = self._client, httpx.URL(delivery.url)
        if is_local(delivery.url):
            if self._local is None:
                return Result("final", error="paths of this server are not acceptable")
            client, url = self._local, httpx.URL(LOCAL_ORIGIN).join(delivery.url)
        for _ in range(MAX_REDIRECTS + 1):
            status, answer = await _post(client, url, body, headers)
            if status not in KEEPING_METHOD or "location" not in answer:
                return _judged(status, answer)
            target = url.join(answer["location"])
            if url.scheme == "https" and target.scheme != "https":
                return Result(
                    "final", status=status, error="the receiver redirects from https to http, where anybody could read"
                )
            if _origin(target) != _origin(url):
                client, headers = self._client, own  # the others may hold secrets of the first receiver
            url = target
        return Result("final", status=status, error=f"more than {MAX_REDIRECTS} redirects")

    def _body(self, delivery: Delivery, now: int) -> bytes:
        """The payload with the time of sending, and without the fields that are not allowed."""
        stored = delivery.body
        if delivery.headers is not None:
            return stored
        sent_at = encode({"webhook_sent_at": iso(now)})
        allowed = self._settings.allowed_fields
        if allowed is None:
            return stored[:-1] + b"," + sent_at[1:]
        return encode({name: each for name, each in {**decode(stored), **decode(sent_at)}.items() if name in allowed})


async def _post(
    client: httpx.AsyncClient, url: httpx.URL, body: bytes, headers: Mapping[str, str]
) -> tuple[int, httpx.Headers]:
    """The status and the headers of the answer; its body is of no interest and is not read."""
    async with client.stream("POST", url, content=body, headers=headers) as response:
        return response.status_code, response.headers


def _judged(status: int, headers: httpx.Headers) -> Result:
    if 200 <= status < 300 or status == 303:
        return Result("delivered", status=status)
    if status >= 500 or status in TEMPORARY:
        return Result("temporary", status, f"the receiver answered {status}", _retry_after_s(headers))
    return Result("final", status, f"the receiver answered {status}")


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds only: the other form, a date, is as good as none for a pause of minutes."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 10 else None


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def timeout() -> httpx.Timeout:
    """Of the clients that a `Sender` uses."""
    return httpx.Timeout(REQUEST_S, connect=CONNECT_S)


def duration_ms(began: float) -> int:
    """Milliseconds since `began`, of `time.monotonic`."""
    return round((time.monotonic() - began) * 1000)
