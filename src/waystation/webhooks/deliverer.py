"""The loop that delivers what is in the outbox.

Every process that executes runs has one, and they share the work: a delivery belongs to whoever has claimed it, for as long as its
lease lasts. A deliverer sleeps until the next delivery is due. It is woken when a run of this process leaves a notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import httpx
import structlog
from starlette.types import ASGIApp

from waystation.config import WebhookConfig
from waystation.errors import Unavailable
from waystation.observability.tallies import Tally
from waystation.outgoing import CheckedTransport, Resolve, UrlPolicy, resolve
from waystation.storage.database import Database
from waystation.timestamps import MICROSECONDS, iso, now_us
from waystation.wakeful import SHORTEST_S, WakefulLoop, rest_until
from waystation.webhooks import outbox
from waystation.webhooks.outbox import Delivery
from waystation.webhooks.sending import REQUEST_S, Result, Sender, duration_ms, timeout

__all__ = ["Deliverer"]

log = structlog.get_logger("waystation.webhooks")

SAFETY_NET_S = 5
"""How often the outbox is looked at least, for what processes that died have left."""

LEASE_S = REQUEST_S + 30
"""An attempt is over before its lease."""

AT_ONCE = 64
"""Deliveries that are under way at the same time."""

STOP_S = 2
"""How long deliveries may take to finish when the process stops."""


class Deliverer:
    """Delivers webhooks. For one event loop; `wake` may be called from any thread."""

    def __init__(
        self,
        db: Database,
        settings: WebhookConfig,
        urls: UrlPolicy,
        attempts: Tally,
        *,
        local_app: ASGIApp | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """`attempts` counts them by outcome. `local_app` takes the webhooks to paths of this server; without it they are left to others."""
        self._db = db
        self._settings = settings
        self._urls = urls
        self._attempts = attempts
        self._local_app = local_app
        self._resolve = resolve
        self._loop = WakefulLoop("webhooks", self._deliver_due, SAFETY_NET_S)
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._resources = contextlib.AsyncExitStack()
        self._sender: Sender | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._loop.start()

    async def stop(self) -> None:
        """Deliver no more. What is under way may finish within moments, and is left to others if it does not."""
        await self._loop.stop()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOP_S)
        unfinished = dict(self._under_way)
        for each in unfinished:
            each.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for delivery in unfinished.values():
            await self._db.write(outbox.release, delivery, now_us())
        await self._resources.aclose()

    def wake(self) -> None:
        """There may be something in the outbox. From any thread."""
        self._loop.wake()

    async def _deliver_due(self) -> float:
        """Begin to deliver what is due, as far as there is room; returns the seconds until there is more to do."""
        local = self._local_app is not None
        room = AT_ONCE - len(self._under_way)
        due_at = await self._db.read(outbox.next_due_at, local=local)
        now = now_us()
        if due_at is None or room <= 0:
            return SAFETY_NET_S  # whatever finishes makes room, and wakes
        if due_at > now:
            return rest_until(due_at, now)
        until = now + LEASE_S * MICROSECONDS
        claimed = await self._db.write(outbox.claim, now, until, room, local=local)
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery), name=f"waystation-webhook-{delivery.run_id}")
            self._under_way[task] = delivery
            task.add_done_callback(self._over)
        return SHORTEST_S  # there may be more, and others may be claiming it

    def _over(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self._loop.wake()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unavailable):
            log.error("what became of a webhook could not be stored; it will be delivered again", exc_info=error)

    async def _deliver(self, delivery: Delivery) -> None:
        """Make one attempt, and write down what became of it."""
        sender = await self._connected()
        at, began = now_us(), time.monotonic()
        result = await sender.send(delivery)
        entry = {
            "attempt": delivery.attempt,
            "at": iso(at),
            "duration_ms": duration_ms(began),
            "status": result.status,
            "error": result.error,
        }
        await self._record(delivery, result, entry)

    async def _record(self, delivery: Delivery, result: Result, entry: dict[str, Any]) -> None:
        now = now_us()
        told: dict[str, Any] = {
            "run_id": delivery.run_id,
            "delivery_id": delivery.delivery_id,
            "attempt": delivery.attempt,
            "error": result.error,
        }
        if result.kind == "delivered":
            self._attempts.add("delivered")
            await self._db.write(outbox.finish, delivery, "delivered", entry, now)
        elif result.kind == "temporary" and delivery.attempt < self._settings.attempts:
            pause_s = self._pause_s(delivery.attempt, result.retry_after_s)
            self._attempts.add("retried")
            log.info("a webhook failed and is tried again", **told, pause_s=round(pause_s, 2))
            await self._db.write(outbox.retry, delivery, entry, now + int(pause_s * MICROSECONDS))
        else:
            self._attempts.add("failed")
            log.warning("a webhook is given up", **told)
            await self._db.write(outbox.finish, delivery, "failed", entry, now)

    def _pause_s(self, attempt: int, asked_s: float | None) -> float:
        """Twice as long after each attempt, more or less: many that failed together are not to come back together."""
        settings = self._settings
        pause_s = min(settings.backoff_max_s, settings.backoff_s * 2.0 ** min(attempt - 1, 50))
        jittered_s = pause_s * random.uniform(0.5, 1.0)
        return max(jittered_s, min(asked_s or 0.0, settings.backoff_max_s))

    async def _connected(self) -> Sender:
        """The sender, made when the first webhook is due: reading the certificates takes a tenth of a second."""
        if self._sender is None:
            verify = await asyncio.to_thread(httpx.create_ssl_context)
            if self._sender is None:  # others may have waited as well
                client = self._client(CheckedTransport(self._urls, resolve=self._resolve, verify=verify))
                app = self._local_app
                local = None if app is None else self._client(httpx.ASGITransport(app, raise_app_exceptions=False))
                self._sender = Sender(self._settings, client, local)
        return self._sender

    def _client(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
        client = httpx.AsyncClient(transport=transport, timeout=timeout(), trust_env=False)
        self._resources.push_async_callback(client.aclose)
        return client
