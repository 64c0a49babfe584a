"""The domain errors. They know nothing of HTTP; `waystation.http.errors` maps each class to a status code.

The first docstring line of a class is its default message, so that ``raise NotFound()`` already says something useful.
"""

from __future__ import annotations

__all__ = [
    "BadInput",
    "ConfigError",
    "Conflict",
    "EmbeddingFailed",
    "EncryptionFailed",
    "Forbidden",
    "GraphLoadError",
    "HandlerFailed",
    "NotAGraph",
    "NotFound",
    "NotSupported",
    "Overloaded",
    "SealBroken",
    "StoreFailed",
    "TooLarge",
    "Unavailable",
    "UnprocessableInput",
    "UpstreamFailed",
    "WaystationError",
]


class WaystationError(Exception):
    """Something went wrong in Waystation."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message if message is not None else (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.message)


class NotFound(WaystationError):
    """Not Found"""


class Conflict(WaystationError):
    """Conflict"""


class BadInput(WaystationError):
    """The request asks for something that is not possible."""


class UnprocessableInput(WaystationError):
    """The request does not have the required form."""


class TooLarge(WaystationError):
    """The request body is too large."""


class Forbidden(WaystationError):
    """Forbidden"""


class UpstreamFailed(WaystationError):
    """A server that this one was to ask did not do its part."""


class HandlerFailed(WaystationError):
    """A handler of the project's authentication failed."""


class EmbeddingFailed(WaystationError):
    """The project's embedder failed."""


class StoreFailed(WaystationError):
    """The project's store failed."""


class SealBroken(WaystationError):
    """Stored data cannot be decrypted."""


class EncryptionFailed(WaystationError):
    """A handler of the project's encryption failed."""


class NotSupported(WaystationError):
    """This server does not support the operation."""


class Unavailable(WaystationError):
    """Service Unavailable"""


class Overloaded(Unavailable):
    """There is too much to do already."""

    retry_after_s = 2
    """Seconds after which it is worth trying again."""


class NotAGraph(WaystationError):
    """A graph factory returned something that is not a graph."""


class ConfigError(WaystationError):
    """The configuration is not usable."""


class GraphLoadError(ConfigError):
    """A graph could not be loaded."""
