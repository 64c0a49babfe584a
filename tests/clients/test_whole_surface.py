"""No method of the Python SDK goes untested, also none that a later version adds."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from langgraph_sdk.client import AssistantsClient, RunsClient, StoreClient, ThreadsClient

NOT_SERVED = {"threads.stream"}
"""Event streaming (protocol v2)."""

SOURCES = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*_client.py"))


@pytest.mark.parametrize(
    ("part", "methods"),
    [
        ("assistants", AssistantsClient),
        ("threads", ThreadsClient),
        ("runs", RunsClient),
        ("store", StoreClient),
    ],
)
def test_every_method_is_called(part: str, methods: type) -> None:
    public = {name for name, _ in inspect.getmembers(methods, inspect.isfunction) if not name.startswith("_")}
    untested = {name for name in public if f"{part}.{name}" not in NOT_SERVED and f".{part}.{name}(" not in SOURCES}
    assert untested == set()
