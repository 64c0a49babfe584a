"""Methods of a saver that LangGraph looks at."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature, signature
from typing import Any

__all__ = ["Signed"]


class Signed:
    """A method that has its signature at hand. LangGraph looks at it at the start of every run, and to find it takes 0.1 ms."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        _, *others = signature(function).parameters.values()
        self.signature = signature(function).replace(parameters=others)

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        return self if instance is None else _Bound(self.function, instance, self.signature)


class _Bound:
    """Such a method of one saver."""

    __slots__ = ("__signature__", "_function", "_saver")

    def __init__(self, function: Callable[..., Any], saver: object, of: Signature) -> None:
        self._function, self._saver, self.__signature__ = function, saver, of

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._saver, *args, **kwargs)
