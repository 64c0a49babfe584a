"""Which frames a subscription wants (spec 13.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from msgspec import Struct
from pydantic import Field, ValidationError, field_validator

from waystation.http.bodies import Body, describe
from waystation.protocol.frames import Frame, Namespace
from waystation.protocol.models import Channel, CommandFailed

__all__ = ["EventStreamRequest", "Filter", "Reconnect", "Subscribe", "as_filter", "filter_of"]

CUSTOM = "custom:"


class Subscribe(Body):
    """What to be told of: ``channels`` by name, in the ``namespaces`` that begin so, at most ``depth`` segments deeper."""

    channels: list[str] = Field(min_length=1)
    namespaces: list[list[str]] | None = None
    depth: int | None = Field(None, ge=0)

    @field_validator("channels")
    @classmethod
    def known(cls, channels: list[str]) -> list[str]:
        for channel in channels:
            if channel not in get_args(Channel) and not (channel.startswith(CUSTOM) and len(channel) > len(CUSTOM)):
                names = ", ".join(get_args(Channel))
                raise ValueError(f"unknown channel {channel!r}: it must be one of {names}, or custom:<name>")
        return channels


class EventStreamRequest(Subscribe):
    """A subscription, and the number of the last event that the client has."""

    since: int | None = Field(None, ge=0)


class Reconnect(Subscribe):
    """A subscription that is taken up again after the last event that the client has."""

    since: int = Field(ge=0)
    subscription_id: str | None = None


class Filter(Struct, frozen=True):
    """The frames of some channels and namespaces."""

    channels: frozenset[str]
    prefixes: tuple[Namespace, ...]
    depth: int | None

    def wants(self, frame: Frame) -> bool:
        """Whether the frame is among them."""
        if frame.channel not in self.channels and not ("custom" in self.channels and frame.channel.startswith(CUSTOM)):
            return False
        return any(self._is_below(frame.namespace, prefix) for prefix in self.prefixes)

    def _is_below(self, namespace: Namespace, prefix: Namespace) -> bool:
        deeper = len(namespace) - len(prefix)
        if deeper < 0 or (self.depth is not None and deeper > self.depth):
            return False
        return all(map(_is_segment, namespace, prefix))


def _is_segment(segment: str, wanted: str) -> bool:
    """``node:<task id>`` is wanted as such, or by the name of the node alone."""
    return segment == wanted or (":" not in wanted and segment.partition(":")[0] == wanted)


def filter_of(params: Mapping[str, Any]) -> Filter:
    """The filter that a command describes. Raises CommandFailed."""
    try:
        wanted = Subscribe.model_validate(dict(params))
    except ValidationError as error:
        raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None
    return as_filter(wanted)


def as_filter(wanted: Subscribe) -> Filter:
    """The filter of a checked request. Without namespaces it begins at the root."""
    prefixes = tuple(tuple(each) for each in wanted.namespaces) if wanted.namespaces else ((),)
    return Filter(frozenset(wanted.channels), prefixes, wanted.depth)
