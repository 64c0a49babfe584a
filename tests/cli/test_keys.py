"""`waystation keys`, and a server that asks for what it makes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.command import run
from tests.cli.conftest import Start

API_KEYS = {"WAYSTATION_AUTH": "api-key"}
PATIENCE_S = 5

AUTH = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    if authorization is None:
        raise Auth.exceptions.HTTPException(status_code=401)
    return authorization
"""


def create(project: Path, *options: str) -> str:
    result = run("keys", "create", *options, cwd=project)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def listed(project: Path) -> list[dict[str, str | None]]:
    found: list[dict[str, str | None]] = json.loads(run("keys", "list", "--json", cwd=project).stdout)
    return found


def test_keys_beside_a_running_server(project: Path, start: Start) -> None:
    early = create(project, "--workspace", "acme", "--user", "ann")
    serve = start("serve", "--host", "0.0.0.0", "--port", "0", environ=API_KEYS)
    late = create(project, "--workspace", "other", "--service")
    with httpx.Client(base_url=serve.url.replace("0.0.0.0", "127.0.0.1"), timeout=30) as client:

        def status(key: str) -> int:
            return client.post("/threads/search", json={}, headers={"X-Api-Key": key}).status_code

        assert client.post("/threads/search", json={}).status_code == 401
        assert [status(early), status(late)] == [200, 200]

        first, second = listed(project)
        assert early.startswith(str(first["key"]))
        assert (first["workspace"], first["user"], first["revoked_at"]) == ("acme", "ann", None)
        assert (second["workspace"], second["user"]) == ("other", None)
        assert first["last_used_at"] is not None

        assert run("keys", "revoke", str(first["key"]), cwd=project).returncode == 0
        until = time.monotonic() + PATIENCE_S
        while status(early) != 401:
            assert time.monotonic() < until, "the revoked key still works"
            time.sleep(0.05)
        assert status(late) == 200
    assert early not in run("keys", "list", cwd=project).stdout
    assert serve.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", "--workspace", "a"], "Whose key"),
        (["create", "--workspace", "a b", "--user", "u"], "Invalid workspace"),
        (["create", "--workspace", "a", "--user", " "], "Invalid user"),
        (["revoke", "ws_000000000000"], "no key ws_000000000000"),
    ],
)
def test_what_is_refused(project: Path, arguments: list[str], reason: str) -> None:
    result = run("keys", *arguments, cwd=project)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_a_project_with_an_authentication_may_listen_everywhere(project: Path, start: Start) -> None:
    (project / "auth.py").write_text(AUTH)
    config = json.loads((project / "langgraph.json").read_text())
    (project / "langgraph.json").write_text(json.dumps({**config, "auth": {"path": "./auth.py:auth"}}))
    serve = start("serve", "--host", "0.0.0.0", "--port", "0")
    url = serve.url.replace("0.0.0.0", "127.0.0.1")
    assert httpx.post(f"{url}/threads/search", json={}, timeout=30).status_code == 401
    headers = {"Authorization": "u"}
    assert httpx.post(f"{url}/threads/search", json={}, headers=headers, timeout=30).status_code == 200
    # The Studio's header is a password that everybody knows: only `dev`, or who asks for it, takes it.
    studio = {"X-Auth-Scheme": "langsmith"}
    assert httpx.post(f"{url}/threads/search", json={}, headers=studio, timeout=30).status_code == 401
    assert serve.stop() == 0
    dev = start("dev", "--no-reload", "--port", "0")
    assert httpx.post(f"{dev.url}/threads/search", json={}, headers=studio, timeout=30).status_code == 200
    assert dev.stop() == 0


def test_two_ways_to_authenticate_are_refused(project: Path) -> None:
    config = json.loads((project / "langgraph.json").read_text())
    (project / "langgraph.json").write_text(json.dumps({**config, "auth": {"path": "./auth.py:auth"}}))
    result = run("serve", "--port", "0", cwd=project, environ=API_KEYS)
    assert result.returncode == 1
    assert "choose one" in result.stderr
