"""Request headers that reach the graph as configurables (spec 1.5, 1.6)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from starlette.requests import Request

from waystation.http.configurable import server_configurable


def configurable(headers: dict[str, str], **selection: list[str]) -> dict[str, Any]:
    """What a request with these headers adds, under ``http.configurable_headers`` as given."""
    http = SimpleNamespace(configurable_headers=selection or None)
    server = SimpleNamespace(config=SimpleNamespace(http=http))
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    app = SimpleNamespace(state=SimpleNamespace(server=server))
    return server_configurable(Request({"type": "http", "headers": raw, "app": app}))


def test_without_a_selection_only_the_request_id() -> None:
    assert configurable({"X-Request-Id": "abc", "User-Agent": "ua", "X-Tenant": "t"}) == {"langgraph_request_id": "abc"}


def test_a_request_id_is_made_when_none_is_sent() -> None:
    first, second = configurable({}), configurable({})
    assert UUID(first["langgraph_request_id"]) != UUID(second["langgraph_request_id"])


def test_selected_headers_by_lower_case_name() -> None:
    found = configurable(
        {"X-Model": "m", "X-Private-Key": "k", "Accept": "*/*"}, includes=["x-*"], excludes=["x-private-*"]
    )
    assert {name: found[name] for name in found if name != "langgraph_request_id"} == {"x-model": "m"}


def test_a_pattern_covers_the_whole_name() -> None:
    assert "x-model-name" not in configurable({"X-Model-Name": "m"}, includes=["x-model"])


def test_excludes_win() -> None:
    assert "x-model" not in configurable({"X-Model": "m"}, includes=["x-model"], excludes=["x-*"])


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "X-Service-Key", "X-Tenant-Id"])
def test_secrets_are_never_copied(name: str) -> None:
    assert name.lower() not in configurable({name: "secret"}, includes=["*"])


def test_a_trace_brings_its_baggage() -> None:
    metadata, tags = quote('{"a": 1}'), quote("one,two")
    baggage = f"other=1,langsmith-metadata={metadata},langsmith-tags={tags},langsmith-project=p"
    found = configurable({"Langsmith-Trace": "trace", "Baggage": baggage})
    del found["langgraph_request_id"]
    assert found == {
        "langsmith-trace": "trace",
        "langsmith-metadata": {"a": 1},
        "langsmith-tags": ["one", "two"],
        "langsmith-project": "p",
    }


@pytest.mark.parametrize("metadata", ["nonsense", "[1]", ""])
def test_malformed_metadata_is_left_out(metadata: str) -> None:
    found = configurable({"Langsmith-Trace": "trace", "Baggage": f"langsmith-metadata={quote(metadata)}"})
    assert set(found) == {"langsmith-trace", "langgraph_request_id"}


def test_baggage_without_a_trace_is_nothing() -> None:
    assert set(configurable({"Baggage": "langsmith-project=p"})) == {"langgraph_request_id"}
