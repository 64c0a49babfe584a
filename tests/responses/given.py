"""What tests look for in responses."""

from __future__ import annotations

from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

__all__ = ["answered", "call_of", "kinds", "valid"]

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def kinds(response: Response) -> list[str]:
    return [item.type for item in response.output]


def call_of(response: Response) -> Any:
    """The function call that the client has to answer."""
    [call] = [item for item in response.output if item.type == "function_call"]
    return call


def answered(call: Any, output: str) -> Any:
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


def valid(event: Any) -> Any:
    """The event, which the client takes as it comes: read again, as strictly as its types say."""
    EVENT.validate_python(event.to_dict())
    return event
