"""Fields that this server does not know are tolerated, and the log names each once."""

from __future__ import annotations

import httpx
import pytest
from structlog.testing import capture_logs

from waystation.http import unknown_fields
from waystation.http.unknown_fields import UnknownFields
from waystation.runs.models import RunCreateStateless


async def told(http: httpx.AsyncClient, path: str, body: object) -> list[tuple[str, str]]:
    """What the log says of a request, as model and field."""
    with capture_logs() as lines:
        response = await http.post(path, json=body)
    assert response.status_code == 200, response.text
    return [(line["body"], line["field"]) for line in lines if "does not know" in line["event"]]


async def test_each_is_named_once(http: httpx.AsyncClient) -> None:
    assert await told(http, "/threads", {"metadata": {"any": 1}, "colour": "red", "size": 1}) == [
        ("ThreadCreate", "colour"),
        ("ThreadCreate", "size"),
    ]
    assert await told(http, "/threads", {"colour": "blue"}) == []
    assert await told(http, "/threads/search", {"colour": "blue"}) == [("ThreadSearch", "colour")]


async def test_in_objects_within_and_in_batches(http: httpx.AsyncClient) -> None:
    run = {"assistant_id": "echo", "input": {"x": "a", "extra": 1}}
    command = {"goto": {"node": "n", "input": {}, "when": "now"}, "please": True}
    assert await told(http, "/runs/batch", [run, {**run, "colour": "red"}]) == [("RunCreateStateless", "colour")]
    assert await told(http, "/runs/wait", {"assistant_id": "echo", "command": command}) == [
        ("RunCreateStateless", "command.please"),
        ("RunCreateStateless", "command.goto.when"),
    ]


async def test_graphs_get_every_field_of_a_config(http: httpx.AsyncClient) -> None:
    run = {"assistant_id": "echo", "input": {"x": "a"}, "config": {"tags": ["t"], "max_concurrency": 2}}
    assert await told(http, "/runs/wait", run) == []


def test_clients_cannot_fill_the_log_or_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_fields, "KEPT", 3)
    fields = UnknownFields()
    with capture_logs() as lines:
        for number in range(10):
            fields.tell(RunCreateStateless.model_validate({"assistant_id": "a", f"{number}{'x' * 1000}": 1}))
    assert [len(line["field"]) for line in lines] == [unknown_fields.LONGEST] * 3
