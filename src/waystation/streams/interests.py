"""Which other processes want to hear of what."""

from __future__ import annotations

import threading
import time

__all__ = ["Interests"]


class Interests:
    """Topics, and the inboxes of the processes that have listeners for them. Usable from every thread.

    A topic is a thread (all its events), a run (all its events) or the end of a run
    (`waystation.streams.subscriptions.end_topic`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inboxes: dict[str, tuple[str, ...]] = {}
        self._heard: dict[str, dict[str, float]] = {}

    def __bool__(self) -> bool:
        return bool(self._inboxes)

    def __contains__(self, topic: str) -> bool:
        return topic in self._inboxes

    def inboxes(self, topic: str) -> tuple[str, ...]:
        """The processes that listen to `topic`."""
        return self._inboxes.get(topic, ())

    def add(self, topic: str, inbox: str) -> None:
        """This process listens, which it has to say again and again."""
        with self._lock:
            self._heard.setdefault(topic, {})[inbox] = time.monotonic()
            self._update(topic)

    def discard(self, topic: str, inbox: str) -> None:
        """This process listens no longer."""
        with self._lock:
            self._heard.get(topic, {}).pop(inbox, None)
            self._update(topic)

    def drop(self, topic: str) -> None:
        """There will be nothing more to hear of `topic`."""
        if topic in self._inboxes:
            with self._lock:
                self._heard.pop(topic, None)
                self._update(topic)

    def forget(self, inbox: str) -> None:
        """This process is gone."""
        with self._lock:
            for topic in [topic for topic, heard in self._heard.items() if inbox in heard]:
                del self._heard[topic][inbox]
                self._update(topic)

    def expire(self, after_s: float) -> None:
        """Forget what has not been said again for `after_s` seconds."""
        until = time.monotonic() - after_s
        with self._lock:
            for topic, heard in list(self._heard.items()):
                if old := [inbox for inbox, at in heard.items() if at <= until]:
                    for inbox in old:
                        del heard[inbox]
                    self._update(topic)

    def _update(self, topic: str) -> None:
        heard = self._heard.get(topic)
        if heard:
            self._inboxes[topic] = tuple(heard)
        else:
            self._heard.pop(topic, None)
            self._inboxes.pop(topic, None)
