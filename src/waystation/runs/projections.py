"""Stream transformers of a project: what they make of a run's events goes to clients as ``custom:<name>`` (spec 13.3)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from langgraph.stream import ProtocolEvent, StreamTransformer
from langgraph.stream._mux import StreamMux

from waystation.runs.blocks import BlockTranslator

__all__ = ["Projections", "TransformerFactory"]

log = structlog.get_logger("waystation.runs")

TransformerFactory = Callable[[tuple[str, ...]], StreamTransformer]
"""Makes the transformer of a namespace."""

CUSTOM = "custom:"


class _Mux(StreamMux):
    """LangGraph's own machinery for transformers, without its log of events: what a named channel gets is recorded at once."""

    def __init__(self, factories: Sequence[TransformerFactory], record: Callable[[str, Any], None]) -> None:
        self._record = record
        super().__init__(factories=list(factories), is_async=True)

    def _forward(self, method: str, item: Any) -> None:
        if method.startswith(CUSTOM):
            self._record(method.removeprefix(CUSTOM), item)

    @property
    def modes(self) -> set[str]:
        """The stream modes that the transformers need."""
        return {mode for each in self._transformers for mode in each.required_stream_modes}

    @property
    def tells(self) -> bool:
        """Whether anything can come of it: most transformers only make handles for callers in the same process."""
        return any(channel.name is not None for channel in self._channels)


class Projections:
    """The transformers of one run. One that fails is the end of all of them, and not of the run."""

    def __init__(self, factories: Sequence[TransformerFactory], translator: BlockTranslator) -> None:
        """`translator` records the run."""
        self._translator = translator
        self._mux: _Mux | None = None
        try:
            mux = _Mux(factories, translator.projected)
        except Exception:
            log.exception("a stream transformer cannot be made; none is used")
            return
        if mux.tells:
            self._mux = mux
            translator.parts = []

    @property
    def modes(self) -> Iterable[str]:
        """The stream modes that they need."""
        return () if self._mux is None else self._mux.modes

    async def watching(self, chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """The `chunks` of the graph; each is shown to the transformers once the consumer has recorded it."""
        async with aclosing(chunks):
            try:
                async for chunk in chunks:
                    yield chunk
                    await self._push(*chunk)
            except BaseException as error:
                await self._fail(error)
                raise
        await self._close()

    async def _push(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        """Show them what the graph streams: messages in the form of the protocol, everything else as it is."""
        if mode != "messages":
            await self._show(namespace, mode, payload)
        if parts := self._translator.parts:
            self._translator.parts = []
            for of_namespace, part in parts:
                await self._show(of_namespace, "messages", part)

    async def _show(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        if self._mux is None:
            return
        event: ProtocolEvent = {
            "type": "event",
            "method": mode,
            "params": {"namespace": list(namespace), "timestamp": int(time.time() * 1000), "data": payload},
        }
        await self._tried(self._mux.apush(event))

    async def _close(self) -> None:
        if self._mux is not None:
            await self._tried(self._mux.aclose())

    async def _fail(self, error: BaseException) -> None:
        if self._mux is not None:
            await self._tried(self._mux.afail(error))

    async def _tried(self, step: Any) -> None:
        try:
            await step
        except Exception:
            log.exception("a stream transformer failed; the run goes on without")
            self._mux = None
            self._translator.parts = None
