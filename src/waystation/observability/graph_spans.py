"""The spans of a graph's nodes, models and tools, below that of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.errors import GraphBubbleUp
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

__all__ = ["GraphSpans"]

STEP = "graph:step:"
"""How the tag of what LangGraph calls as a node begins."""


class GraphSpans(BaseCallbackHandler):
    """A callback handler for one attempt of a run. Names and attributes of models and tools are those of OpenTelemetry's
    conventions for generative AI."""

    run_inline = True
    """Making a span takes microseconds: less than handing it to another thread."""

    def __init__(self, tracer: Tracer, root: Span) -> None:
        self._tracer = tracer
        self._root = root
        self._open: dict[UUID, Span] = {}
        self._above: dict[UUID, Span] = {}
        """The span that each call is in or is: not every link of a chain has one of its own."""

    # --- nodes

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if any(tag.startswith(STEP) for tag in tags or ()):
            told = metadata or {}
            name = str(told.get("langgraph_node", kwargs.get("name")))
            attributes = {"langgraph.node": name, "langgraph.step": told.get("langgraph_step")}
            self._begin(f"node {name}", run_id, parent_run_id, attributes)
        else:
            self._above[run_id] = self._span_above(parent_run_id)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id, error)

    # --- models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin_model("chat", run_id, parent_run_id, metadata or {})

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._begin_model("text_completion", run_id, parent_run_id, metadata or {})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        span = self._open.get(run_id)
        usage = _usage(response)
        if span is not None and usage:
            span.set_attribute("gen_ai.usage.input_tokens", usage.get("input_tokens", 0))
            span.set_attribute("gen_ai.usage.output_tokens", usage.get("output_tokens", 0))
        self._end(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id, error)

    def _begin_model(
        self, operation: str, run_id: UUID, parent_run_id: UUID | None, metadata: Mapping[str, Any]
    ) -> None:
        model = metadata.get("ls_model_name")
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": metadata.get("ls_provider"),
            "gen_ai.request.model": model,
        }
        self._begin(f"{operation} {model}" if model else operation, run_id, parent_run_id, attributes, SpanKind.CLIENT)

    # --- tools

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        name = str(serialized.get("name") or kwargs.get("name"))
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        self._begin(f"execute_tool {name}", run_id, parent_run_id, attributes)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id, error)

    # --- spans

    def _begin(
        self,
        name: str,
        run_id: UUID,
        parent_run_id: UUID | None,
        attributes: Mapping[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(self._span_above(parent_run_id)),
            kind=kind,
            attributes={key: value for key, value in attributes.items() if value is not None},
        )
        self._open[run_id] = self._above[run_id] = span

    def _end(self, run_id: UUID, error: BaseException | None = None) -> None:
        self._above.pop(run_id, None)
        span = self._open.pop(run_id, None)
        if span is None:
            return
        if isinstance(error, GraphBubbleUp):  # an interrupt, say: not a failure
            span.set_attribute("langgraph.stopped_by", type(error).__name__)
        elif error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
        span.end()

    def _span_above(self, parent_run_id: UUID | None) -> Span:
        return self._root if parent_run_id is None else self._above.get(parent_run_id, self._root)


def _usage(response: LLMResult) -> Mapping[str, Any] | None:
    generations: Sequence[Any] = response.generations[0] if response.generations else ()
    for generation in generations:
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            return generation.message.usage_metadata
    return None
