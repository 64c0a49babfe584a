"""The dictionary that small pieces of checkpoints are compressed with.

Stored data can be read only with the very bytes it was written with. A better dictionary is a new format beside this one
(`compression.py`), never a change of this one; a test pins it.
"""

from __future__ import annotations

from typing import Any

import ormsgpack

__all__ = ["DICTIONARY"]

_PROSE = (
    "There is no error in this file. Please let me know if you would like me to help you with anything else. "
    "I don't know what you mean, but it was not found. Here are some of the most important things that they have been "
    "able to do: first, because these would make their own time into more than one year, after which it could be used "
    "by other people over there. When we get only two, then how about its number, who said she had his name, and her "
    "company will want to see where all this information comes from? However, as well as being available for "
    "customers at the end of the day, it also should provide the same result through each new example, such as the "
    "following list:\n\n1. **\n2. **\n3. **\n- **\n\n## \n### \n```python\nimport \ndef \n    return \n```\n```json\n{\n  "
    '"name": "value",\n  "type": "string",\n  "description": "\nhttps://www.github.com/.html.com/ https://en.org/ '
    "The question is whether the answer to your question will use their user system, their data and their state, "
    "which is based on the current version of the function with a different value from the previous one. Thank you! "
    "Sure, I can help with that. Let me check. You can find it here and try again. Could you tell me what the best "
    "way is for us to work with it? What is the weather like in San Francisco today? I think that it is going to be "
)

_STRUCTURE: tuple[Any, ...] = (
    {"status": "success", "artifact": None, "tool_call_id": "call_", "message": "error", "result": None, "output": ""},
    {"files": {}, "todos": [{"content": "", "status": "in_progress"}, {"content": "", "status": "completed"}]},
    {"model_provider": "anthropic", "stop_reason": "end_turn", "stop_sequence": None, "model": "claude-", "usage": {}},
    {"token_usage": {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}, "system_fingerprint": None},
    {"model_provider": "openai", "service_tier": "default", "finish_reason": "tool_calls", "logprobs": None},
    {"input_token_details": {"audio": 0, "cache_read": 0, "cache_creation": 0}},
    {"output_token_details": {"audio": 0, "reasoning": 0}},
    {
        "role": "user",
        "content": [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": "https://"}}],
    },
    {"assistant_id": "", "graph_id": "agent", "user_id": "", "run_attempt": 1, "langgraph_version": "1.2."},
    {"langgraph_plan": "", "langgraph_host": "self-hosted", "langgraph_api_url": "http://127.0.0.1:2024"},
    {"langgraph_auth_user_id": "", "langgraph_request_id": "", "langgraph_api_version": "0.", "created_by": "system"},
    {"__interrupt__": [], "__resume__": None, "__error__": None, "__pregel_tasks": [], "__pregel_push": 0},
    ["langgraph.types", "Interrupt", {"value": {"action_requests": []}, "id": ""}],
    ["langgraph.types", "Send", "langgraph.types", "Command"],
    ["langchain_core.messages.ai", "AIMessageChunk", "langchain_core.messages.system", "SystemMessage"],
    ["langchain_core.messages.tool", "ToolMessage", "langchain_core.messages.human", "HumanMessage"],
    ["langchain_core.messages.ai", "AIMessage", {"content": ""}, "model_validate_json"],
    ["__root__", "thread", "tools", "model", "agent", "input", "loop", "update", "fork", "remaining_steps", "files"],
    ["branch:to:tools", "branch:to:model", "branch:to:agent", "~__pregel_pull, agent", "structured_response"],
    [4, "__start__", "messages", "branch:to:agent", "__input__", "agent"],
    {
        "content": "",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "tool",
        "name": "search",
        "id": "00000000-0000-4000-8000-000000000000",
        "tool_call_id": "call_",
        "artifact": None,
        "status": "success",
    },
    {
        "content": "",
        "additional_kwargs": {"refusal": None},
        "response_metadata": {"finish_reason": "stop", "model_name": "gpt-"},
        "type": "ai",
        "name": None,
        "id": "lc_run--00000000-0000-7000-8000-000000000000",
        "tool_calls": [{"name": "search", "args": {"query": ""}, "id": "call_", "type": "tool_call"}],
        "invalid_tool_calls": [],
        "usage_metadata": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
    {
        "content": "",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "human",
        "name": None,
        "id": "00000000-0000-4000-8000-000000000000",
    },
    {
        "content": "",
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "ai",
        "name": None,
        "id": "lc_run--00000000-0000-7000-8000-000000000000",
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
    },
)

DICTIONARY: bytes = _PROSE.encode() + b"".join(map(ormsgpack.packb, _STRUCTURE))
