"""``http.logging_headers``: a line for each request, with the headers that are wanted and without secrets (spec 19)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import connected, served
from tests.processes import running_server
from waystation.config import HttpConfig

HEADERS = {
    "X-Tenant": "acme",
    "X-Internal": "i",
    "User-Agent": "test",
    "Authorization": "Bearer s3cret",
    "Cookie": "session=s3cret",
    "X-Api-Key": "s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "X-Auth-Token": "s3cret",
    "Referer": "https://u:s3cret@page.example/",
}


async def logged(tmp_path: Path, selection: Any, path: str = "/ok?password=s3cret") -> list[Any]:
    async with served(tmp_path, http=HttpConfig(logging_headers=selection)) as app, connected(app) as http:
        with capture_logs() as logs:
            await http.get(path, headers=HEADERS)
    return [entry for entry in logs if entry["event"] == "request"]


async def test_nothing_is_logged_unless_asked_for(tmp_path: Path) -> None:
    assert await logged(tmp_path, None) == []


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({"includes": ["x-*"], "excludes": ["x-internal"]}, {"x-tenant", "x-api-key", "x-auth-token"}),
        ({"includes": ["user-agent"]}, {"user-agent"}),
        ({"includes": []}, set()),
        ({"includes": ["*"], "excludes": ["*"]}, set()),
    ],
)
async def test_which_headers(tmp_path: Path, selection: Any, names: set[str]) -> None:
    (entry,) = await logged(tmp_path, selection)
    assert set(entry["headers"]) == names
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/ok", 200)


async def test_secrets_are_hidden_whatever_is_asked_for(tmp_path: Path) -> None:
    (entry,) = await logged(tmp_path, {"includes": ["*"]})
    assert entry["headers"]["x-tenant"] == "acme"
    for name in ("authorization", "cookie", "x-api-key", "proxy-authorization", "x-auth-token"):
        assert entry["headers"][name] == "[redacted]", name
    assert "s3cret" not in str(entry)


async def test_failures_are_logged_too(tmp_path: Path) -> None:
    (entry,) = await logged(tmp_path, {"includes": ["x-tenant"]}, "/threads/x")
    assert (entry["status"], entry["headers"]) == (422, {"x-tenant": "acme"})


def test_by_variable(tmp_path: Path) -> None:
    """Images get their ``http`` section in LANGGRAPH_HTTP."""
    environ = {"LANGGRAPH_HTTP": '{"logging_headers": {"include": ["User-Agent"]}}', "LOG_JSON": "true"}
    with running_server(tmp_path, environ=environ) as server:
        server.stop()
        (line, *_) = [line for line in server.log.splitlines() if '"event":"request"' in line]
    assert '"headers":{"user-agent":"python-httpx/' in line
