"""The body of ``POST /v1/responses``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from waystation.http.bodies import Body
from waystation.responses.errors import Refused, unsupported

__all__ = ["ResponseCreate"]

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]

_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "context_management": ([],),
    "image": (),
    "include": ([],),
    "max_output_tokens": (),
    "max_tool_calls": (),
    "moderation": (),
    "parallel_tool_calls": (True,),
    "prompt": (),
    "reasoning": ({}, {"effort": None}, {"summary": None}, {"effort": None, "summary": None}),
    "service_tier": ("auto", "default"),
    "temperature": (1,),
    "text": ({}, {"format": {"type": "text"}}),
    "tool_choice": ("auto",),
    "top_logprobs": (0,),
    "top_p": (1,),
    "truncation": ("disabled",),
}
"""Parameters that a graph decides for itself, with the values that leave it free to do so."""


class ResponseCreate(Body):
    """A response to create. What an assistant's graph decides for itself cannot be chosen here; hints such as ``user`` and
    ``prompt_cache_key`` are accepted and have no effect."""

    model: str
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    stream: bool | None = None
    store: bool | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    tools: list[dict[str, Any]] | None = None
    context_management: Any = None
    image: Any = None
    include: Any = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    moderation: Any = None
    parallel_tool_calls: Any = None
    prompt: Any = None
    reasoning: Any = None
    service_tier: Any = None
    temperature: Any = None
    text: Any = None
    tool_choice: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    stream_options: Any = None
    user: Any = None

    @property
    def stored(self) -> bool:
        """Whether the response can be asked for later, and continued."""
        return self.store is not False

    def check(self) -> None:
        """Raises Refused for what cannot be done, or not together."""
        for name, neutral in _UNSUPPORTED.items():
            value = getattr(self, name)
            if value is not None and value not in neutral:
                raise unsupported(name, "the assistant's graph decides this itself")
        if self.input is None and self.previous_response_id is None and self.conversation is None:
            raise Refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
        if self.previous_response_id is not None and self.conversation is not None:
            raise Refused("Give either 'previous_response_id' or 'conversation', not both.", "conversation")
        if not self.stored:
            for name in ("previous_response_id", "conversation", "background"):
                if getattr(self, name):
                    raise Refused(f"A response with {name!r} is stored; 'store' cannot be false.", "store")
