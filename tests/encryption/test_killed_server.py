"""A server with a key, killed without warning: the files it leaves tell nothing, and the next one goes on."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from tests.encryption.conftest import tables_with
from tests.processes import running_server

SAID = "what-the-user-said"


def test_what_a_killed_server_leaves_is_encrypted(tmp_path: Path) -> None:
    environ = {"LANGGRAPH_AES_KEY": "k" * 32, "LANGGRAPH_AES_JSON_KEYS": "secret", "HOME": os.environ["HOME"]}
    with running_server(tmp_path, environ=environ) as server:
        thread = httpx.post(f"{server.url}/threads", json={"metadata": {"secret": SAID}}).json()
        run = {"assistant_id": "echo", "input": {"x": SAID}, "stream_resumable": True}
        url = f"{server.url}/threads/{thread['thread_id']}"
        assert httpx.post(f"{url}/runs/wait", json=run, timeout=30).json()["x"] == f"{SAID}!"
        later = httpx.post(f"{url}/runs", json={**run, "after_seconds": 3600}).json()
        server.kill()

        assert tables_with(tmp_path, SAID) == set()
        assert SAID not in server.log

        server.start()
        shown = httpx.get(url).json()
        assert (shown["metadata"]["secret"], shown["values"]["x"]) == (SAID, f"{SAID}!")
        assert httpx.get(f"{url}/runs/{later['run_id']}").json()["kwargs"]["input"] == {"x": SAID}
