"""What is refused, and how."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.driver import Driver

CREATE = {"model": "helper", "input": "hi"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 0.2}, "temperature"),
        ({"max_output_tokens": 100}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_object"}}}, "text"),
        ({"reasoning": {"effort": "high"}}, "reasoning"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"store": False, "background": True}, "store"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "boss", "content": "hi"}]}, "input[0].role"),
        ({"input": None}, "input"),
        ({"metadata": {"a": "x" * 513}}, None),
        ({"stream": "yes"}, None),
    ],
)
async def test_what_cannot_be_done(driver: Driver, fields: dict[str, Any], param: str | None) -> None:
    response = await driver.http.post("/v1/responses", json={**CREATE, **fields})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_what_says_nothing_is_accepted(client: AsyncOpenAI, driver: Driver) -> None:
    neutral: dict[str, Any] = {
        "temperature": None,
        "top_p": 1,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "truncation": "disabled",
        "text": {"format": {"type": "text"}},
        "include": [],
        "tools": [],
        "prompt_cache_key": "k",
        "what_comes_next_year": {"a": 1},
    }
    response = await driver.http.post("/v1/responses", json={**CREATE, **neutral})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/responses/resp_nothing", 404),
        ("GET", "/v1/responses/resp_01a20350cfe5756082be21007c3385f6", 404),
        ("DELETE", "/v1/responses/x", 404),
        ("POST", "/v1/responses/resp_1/cancel", 404),
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v1/responses/a/b/c", 404),
        ("PUT", "/v1/responses", 405),
    ],
)
async def test_errors_have_their_form(driver: Driver, method: str, path: str, status: int) -> None:
    response = await driver.http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert (await driver.http.get("/v1/other")).json() == {"detail": "Not Found"}
