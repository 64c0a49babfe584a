"""What an agent consists of is encrypted when everything else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deepagents.conftest import BASE, EVERYTHING
from tests.encryption.conftest import SECRET_KEYS, encrypting, tables_with
from waystation.config import EncryptionConfig

SAID = "what-the-user-said"


@pytest.mark.parametrize("encryption", [SECRET_KEYS, None], ids=["with a key", "without"])
async def test_what_is_stored_in_the_clear(tmp_path: Path, encryption: EncryptionConfig | None) -> None:
    said = {"description": SAID, "system_prompt": SAID, "extras": {"x": SAID}, "configurable": {"x": SAID}}
    async with encrypting(tmp_path, encryption) as sdk:
        http = sdk.http.client
        body = {**EVERYTHING, **said, "name": "a", "files": {f"{SAID}.md": SAID}}
        made = (await http.post(f"{BASE}/agents", json=body)).json()
        path = f"{BASE}/agents/{made['id']}"
        changed = (await http.patch(path, json={"files": {"more.md": f"{SAID} again"}})).json()
        assert changed["system_prompt"] == changed["description"] == SAID
        copy = (await http.post(f"{path}/clone", params={"include_files": "true"})).json()
        assert copy["files"]["more.md"]["content"] == f"{SAID} again"
        assert json.dumps((await http.get(f"{path}/revisions/{made['revision']}")).json()).count(SAID) > 2
        thread = (await http.post(f"{BASE}/threads", json={"agent_id": made["id"]})).json()
        titled = await http.patch(f"{BASE}/threads/{thread['id']}", json={"title": SAID})
        assert titled.json()["title"] == SAID
        found = {name for name in tables_with(tmp_path, SAID) if name.startswith(("deep_agent", "threads"))}
    holding = {"deep_agents", "deep_agent_revisions", "deep_agent_files", "threads"}
    assert found == (set() if encryption else holding)
