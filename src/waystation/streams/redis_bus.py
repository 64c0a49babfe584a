"""The bus across processes, on Redis or Valkey (6.2 or later).

Within a process everything goes through a `MemoryBus`, Redis or not. What other processes listen to is sent to their
inboxes as well; who they are is known from what they announce and from the `Order.listener` of a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from uuid import uuid4

import structlog
from msgspec.structs import replace

from waystation.streams.bus import BACKLOG_BYTES, EndWaiter, Executor, MemoryBus, Subscription
from waystation.streams.events import Event
from waystation.streams.interests import Interests
from waystation.streams.offers import Offers
from waystation.streams.outbox import Outbox
from waystation.streams.parcels import Notice, Parcel, Unreadable
from waystation.streams.redis_link import RedisLink
from waystation.streams.subscriptions import END, Listening, end_topic
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["RedisBus"]

log = structlog.get_logger("waystation.bus")

OUTBOX_BYTES = 16 * 1024 * 1024
"""Events that may wait to be sent, as in a short outage."""

CONNECT_S = 3
"""How long the start waits for Redis; without it the server starts all the same."""

ANNOUNCE_S = 0.25
"""How long a listener waits until it was announced. Later events of a resumable run are found in the database anyway."""

LEAVE_S = 2
"""How long stopping waits until what is queued has been sent."""

REPEAT_S = 30
"""How often a process says again what it listens to."""

FORGET_S = 90
"""When a process that says nothing is forgotten."""

OTHERS_S = 0.05
"""A wake-up goes to one worker, each in turn, and this much later to all: should that one be busy, another one comes."""

WAKE_AHEAD_S = 10
"""Wake-ups for a later time than this are left to the workers, which look ahead that far by themselves."""

TIMER_SLACK_S = 0.005
"""Timers may go off a little early: a run that is not due yet would not be found."""

ALIVE_S = 1.0
"""How often a process that executes runs says that it is there: others give it runs."""

OFFER_S = 0.1
"""How often it looks whether there is something new to say of its free slots."""

KNOWN_SENDERS = 4096
"""Processes whose last parcel is remembered."""


class RedisBus:
    """A `waystation.streams.bus.Bus` for all processes with the same `url` and `key_prefix`."""

    def __init__(
        self, url: str, *, key_prefix: str = "ws", backlog_bytes: int = BACKLOG_BYTES, outbox_bytes: int = OUTBOX_BYTES
    ) -> None:
        """Raises ConfigError for a URL that cannot be read, or when redis-py or hiredis is not installed."""
        self._address = uuid4().hex
        self._local = MemoryBus(backlog_bytes)
        self._interests = Interests()
        self._outbox = Outbox(self._address, outbox_bytes, self._kick)
        self._link = RedisLink(url, key_prefix, self._address, self._outbox, self)
        self._lock = threading.Lock()
        self._topics: dict[str, int] = {}
        self._heard: OrderedDict[str, int] = OrderedDict()
        self._kicked = False
        self._others_told = True
        self._connected_once = asyncio.Event()
        self._executor: Executor | None = None
        self._told: tuple[int, float] = (0, float("-inf"))
        """How many free slots all were told of last, and when."""
        self._on_stop: Callable[[Sequence[str]], None] = lambda run_ids: None
        self._home: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life

    async def start(self, executor: Executor | None, on_stop: Callable[[Sequence[str]], None]) -> None:
        self._executor, self._on_stop = executor, on_stop
        if executor is not None:
            self._outbox.free, self._outbox.jobs = executor.free, executor.jobs
        self._home = asyncio.get_running_loop()
        self._tasks = [
            asyncio.create_task(self._link.run(), name="waystation-bus"),
            asyncio.create_task(self._repeat(), name="waystation-bus-repeat"),
            *([] if executor is None else [asyncio.create_task(self._offer(executor), name="waystation-bus-offer")]),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._connected_once.wait()

    def close(self) -> None:
        self._local.close()

    async def stop(self) -> None:
        self.close()
        if not self._tasks:
            return
        until = time.monotonic() + LEAVE_S
        was_up = await self._link.flushed(LEAVE_S)
        while was_up and self._outbox and time.monotonic() < until:
            was_up = await self._link.flushed(LEAVE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if was_up:
            await self._link.leave(Notice(self._address, bye=True).encode())

    # --- what there is to know

    @property
    def backlog_bytes(self) -> int:
        return self._local.backlog_bytes

    @backlog_bytes.setter
    def backlog_bytes(self, value: int) -> None:
        self._local.backlog_bytes = value

    @property
    def closed(self) -> bool:
        return self._local.closed

    @property
    def address(self) -> str | None:
        return self._address

    @property
    def connected(self) -> bool:
        return self._link.up

    @property
    def lag_s(self) -> float | None:
        return self._link.lag_s

    @property
    def offers(self) -> Offers:
        return self._local.offers

    @property
    def subscribers(self) -> int:
        return self._local.subscribers

    @property
    def waiting(self) -> int:
        return self._local.waiting

    # --- listening

    def subscribe(self, thread_id: str, run_id: str | None = None) -> Subscription:
        return Subscription(self, thread_id, run_id)

    def wait_for_end(self, run_id: str) -> EndWaiter:
        return EndWaiter(self, run_id)

    def enter(self, listening: Listening) -> None:
        with self._lock:
            self._topics[listening.topic] = self._topics.get(listening.topic, 0) + 1
        self._local.enter(listening)

    def leave(self, listening: Listening) -> None:
        self._local.leave(listening)
        with self._lock:
            left = self._topics.pop(listening.topic) - 1
            if left:
                self._topics[listening.topic] = left
        if not left and not listening.ended:
            self._outbox.unlisten(listening.topic)

    async def announce(self, listening: Listening) -> None:
        self._outbox.listen([listening.topic])
        if asyncio.get_running_loop() is self._home:
            await self._link.flushed(ANNOUNCE_S)

    def listener(self, *, end_only: bool = False) -> str | None:
        return self._address + (END if end_only else "")

    # --- publishing

    def expect(self, run_id: str, listener: str | None) -> None:
        if listener is None:
            return
        inbox = listener.removesuffix(END)
        if inbox != self._address:
            self._interests.add(run_id + listener[len(inbox) :], inbox)

    def heard_elsewhere(self, thread_id: str, run_id: str, listener: str | None) -> bool:
        if listener is not None and listener.removesuffix(END) != self._address:
            return True
        return any(topic in self._interests for topic in (thread_id, run_id, end_topic(run_id)))

    def listened(self, thread_id: str, run_id: str | None = None) -> bool:
        return (
            self._local.listened(thread_id)
            or thread_id in self._interests
            or (run_id is not None and run_id in self._interests)
        )

    def publish(self, events: Iterable[Event]) -> None:
        events = list(events)
        self._local.publish(events)
        if self._interests:
            for event in events:
                self._publish_elsewhere(event)

    def _publish_elsewhere(self, event: Event) -> None:
        """To the processes that listen to the thread or the run; a result only to those that wait for it."""
        if event.end is not None and not event.end.final:
            return
        run_id = event.run_id or ""
        listening = (*self._interests.inboxes(event.thread_id), *self._interests.inboxes(run_id))
        if event.end is None:
            if listening:
                self._outbox.post(event, dict.fromkeys(listening))
            return
        waiting = self._interests.inboxes(end_topic(run_id))
        if waiting:
            self._outbox.post(event, waiting)
        if bare := dict.fromkeys(inbox for inbox in listening if inbox not in waiting):
            self._outbox.post(replace(event, end=replace(event.end, result=None)), bare)
        self._interests.drop(run_id)
        self._interests.drop(end_topic(run_id))

    def proclaim(self, event: Event) -> None:
        self._local.publish([event])
        self._outbox.proclaim(event)

    # --- signals

    def wake_workers(self, due_us: int = 0) -> None:
        chosen, able = self.offers.whose_turn()
        if chosen is None or due_us:
            self._outbox.wake(None, due_us)
            return
        self._outbox.wake(chosen, due_us)
        if able > 1 and self._others_told:
            self._others_told = False
            self._at_home(self._wake_others_soon)

    def _wake_others_soon(self) -> None:
        def wake_others() -> None:
            self._others_told = True
            self._outbox.wake(None, 0)

        assert self._home is not None
        self._home.call_later(OTHERS_S, wake_others)

    def hand_over(self, address: str, run: bytes) -> None:
        self._outbox.hand_over(address, run)

    def retire(self) -> None:
        self._outbox.free = None
        self._outbox.listen(())

    def stop_runs(self, run_ids: Sequence[str]) -> None:
        self._outbox.stop(run_ids)

    # --- what the link brings (`waystation.streams.redis_link.Receiver`)

    def greeting(self) -> bytes:
        with self._lock:
            topics = list(self._topics)
        return Notice(self._address, self._outbox.offered(), self._outbox.jobs, hello=True, listen=topics).encode()

    def came_up(self) -> None:
        self._connected_once.set()
        self._local.doubt()

    def went_down(self) -> None:
        self.offers.doubt()
        self._local.doubt()

    def parcel(self, payload: bytes) -> None:
        try:
            parcel = Parcel.decode(payload)
        except Unreadable as error:
            log.warning("cannot read what another process sent", error=str(error))
            return
        last = self._heard.get(parcel.sender, 0)
        if parcel.number <= last:
            return  # sent again because the connection was lost before the answer
        self._heard[parcel.sender] = parcel.number
        self._heard.move_to_end(parcel.sender)
        if len(self._heard) > KNOWN_SENDERS:
            self._heard.popitem(last=False)
        self._local.publish(parcel.events)
        if parcel.previous > last:
            self._local.doubt()
        if parcel.free is not None:
            self.offers.hear(parcel.sender, parcel.free)
        if parcel.runs and self._executor is not None:
            self._executor.take_on(parcel.runs)
        if parcel.wake is not None:
            self._wake(parcel.wake)

    def notice(self, payload: bytes) -> None:
        try:
            notice = Notice.decode(payload)
        except Unreadable as error:
            log.warning("cannot read what another process said", error=str(error))
            return
        if notice.sender == self._address:
            return
        if notice.bye:
            self._heard.pop(notice.sender, None)
            self.gone(notice.sender)
            return
        if notice.free is not None:
            self.offers.hear(notice.sender, notice.free, notice.jobs)
        else:
            self.offers.withdraw(notice.sender)
        for topic in notice.listen:
            self._interests.add(topic, notice.sender)
        for topic in notice.unlisten:
            self._interests.discard(topic, notice.sender)
        if notice.hello:
            self._introduce()
        self._local.publish(notice.events)
        if notice.stop:
            self._on_stop(notice.stop)
        if notice.wake is not None:
            self._wake(notice.wake)

    def gone(self, inbox: str) -> None:
        self.offers.gone(inbox)
        self._interests.forget(inbox)
        self._outbox.forget(inbox)

    def _wake(self, due_us: int) -> None:
        if self._executor is None or self._outbox.free is None or self._home is None:
            return
        delay = (due_us - now_us()) / MICROSECONDS
        if delay <= 0:
            self._executor.wake()
        elif delay <= WAKE_AHEAD_S:
            self._home.call_later(delay + TIMER_SLACK_S, self._executor.wake)

    # --- keeping in touch

    def _introduce(self) -> None:
        """Say who this is and what it listens to."""
        with self._lock:
            topics = list(self._topics)
        self._outbox.listen(topics)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_S)
            self._introduce()
            self._interests.expire(FORGET_S)
            self.offers.expire(FORGET_S)

    async def _offer(self, executor: Executor) -> None:
        """Tell all how many runs could be executed here: when that has changed much, and otherwise as a sign of life."""
        while self._outbox.free is not None:
            free, now = executor.free(), time.monotonic()
            told, at = self._told
            if now - at >= ALIVE_S or (free > 0) != (told > 0) or abs(free - told) > free / 4:
                self._told = free, now
                self._outbox.listen(())
            await asyncio.sleep(OFFER_S)

    def _kick(self) -> None:
        """The outbox has something. From any thread."""
        if not self._kicked and self._home is not None:
            self._kicked = True
            self._at_home(self._kick_link)

    def _kick_link(self) -> None:
        self._kicked = False
        self._link.kick()

    def _at_home(self, call: Callable[[], None]) -> None:
        if self._home is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is going away
                self._home.call_soon_threadsafe(call)
