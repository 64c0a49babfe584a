"""Keys that come and go: what was stored before stays readable, and a key that is lost is told of by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.conftest import project_config, served
from tests.driver import eventually
from tests.encryption.conftest import GRAPHS, KEY, OLD_KEY, encrypting, everything_stored, tables_with
from waystation.app import create_app
from waystation.auth.access import EVERYTHING
from waystation.config import EncryptionConfig
from waystation.encryption.keys import key_id
from waystation.errors import ConfigError
from waystation.storage.sweeping import sweep_once
from waystation.threads.queries import visible
from waystation.threads.sweeper import sweep_expired_threads

FIRST = EncryptionConfig(aes_key=OLD_KEY, json_keys=("secret",))
ROTATED = EncryptionConfig(aes_key=KEY, old_keys=(OLD_KEY,), json_keys=("secret",))
LOST = EncryptionConfig(aes_key=KEY, json_keys=("secret",))
ENDED = EncryptionConfig(old_keys=(KEY, OLD_KEY))

LONG = "a long and winding sentence that goes on and on. " * 8


async def talk(sdk: LangGraphClient, thread_id: str, *words: str) -> None:
    for word in words:
        await sdk.runs.wait(thread_id, "noting", input={"x": f"{word} {LONG}"})


async def said(sdk: LangGraphClient, thread_id: str) -> list[str]:
    values: Any = (await sdk.threads.get_state(thread_id))["values"]
    return [each.split()[0] for each in values["log"]]


async def history(sdk: LangGraphClient, thread_id: str) -> list[int]:
    states: Any = await sdk.threads.get_history(thread_id, limit=100)
    return [len(state["values"].get("log", ())) for state in states]


async def begun(data_dir: Path, encryption: EncryptionConfig | None) -> str:
    """A thread that a server with `encryption` has left behind, with two runs."""
    async with encrypting(data_dir, encryption) as sdk:
        thread: Any = await sdk.threads.create(metadata={"secret": "s", "label": "l"})
        await talk(sdk, thread["thread_id"], "one", "two")
        return str(thread["thread_id"])


@pytest.mark.parametrize("before", [FIRST, None], ids=["old key", "no key"])
async def test_a_thread_goes_on_under_a_new_key(tmp_path: Path, before: EncryptionConfig | None) -> None:
    thread_id = await begun(tmp_path, before)

    async with encrypting(tmp_path, ROTATED) as sdk:
        assert await said(sdk, thread_id) == ["one", "two"]
        await talk(sdk, thread_id, "three", "four")
        assert await said(sdk, thread_id) == ["one", "two", "three", "four"]
        assert (
            await history(sdk, thread_id) == [4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0][: len(await history(sdk, thread_id))]
        )
        shown: Any = await sdk.threads.update(thread_id, metadata={"more": 1})
        assert shown["metadata"]["secret"] == "s"
        copied: Any = await sdk.http.post(f"/threads/{thread_id}/copy", json=None)
        assert await said(sdk, copied["thread_id"]) == ["one", "two", "three", "four"]
        await sdk.http.post("/threads/prune", json={"thread_ids": [thread_id], "strategy": "keep_latest"})
        assert await said(sdk, thread_id) == ["one", "two", "three", "four"]
        run = await sdk.runs.create(thread_id, "asking", input={"x": "five"})
        await sdk.runs.join(thread_id, run["run_id"])
        await sdk.runs.delete(thread_id, run["run_id"])
        assert await said(sdk, thread_id) == ["one", "two", "three", "four"]


async def test_what_is_written_after_a_rotation_has_the_new_key(tmp_path: Path) -> None:
    await begun(tmp_path, FIRST)
    old, new = key_id(OLD_KEY), key_id(KEY)
    assert new not in everything_stored(tmp_path)["checkpoint_values"]

    async with encrypting(tmp_path, ROTATED) as sdk:
        thread: Any = await sdk.threads.create()
        before = everything_stored(tmp_path)["checkpoint_values"].count(old)
        await talk(sdk, thread["thread_id"], "one")
        stored = everything_stored(tmp_path)["checkpoint_values"]
        assert new in stored
        assert stored.count(old) == before


async def test_a_lost_key_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    thread_id = await begun(tmp_path, FIRST)
    lost = key_id(OLD_KEY).hex()

    async with encrypting(tmp_path, LOST) as sdk:
        for path in (f"/threads/{thread_id}", f"/threads/{thread_id}/state"):
            with pytest.raises(httpx.HTTPStatusError) as refusal:
                await sdk.http.get(path)
            assert refusal.value.response.status_code == 500
            assert f"key {lost}" in refusal.value.response.text
            assert "WAYSTATION_AES_OLD_KEYS" in refusal.value.response.text

        other: Any = await sdk.threads.create()
        await talk(sdk, other["thread_id"], "still", "here")
        assert await said(sdk, other["thread_id"]) == ["still", "here"]
        await sdk.threads.delete(thread_id)

    async with encrypting(tmp_path, ROTATED) as sdk:
        assert await said(sdk, other["thread_id"]) == ["still", "here"]


async def test_a_queued_run_whose_key_is_lost_fails_and_does_not_hold_up_others(tmp_path: Path) -> None:
    async with encrypting(tmp_path, FIRST) as sdk:
        thread: Any = await sdk.threads.create()
        queued: Any = await sdk.runs.create(thread["thread_id"], "noting", input={"x": "a"}, after_seconds=1)
        stateless: Any = await sdk.runs.create(
            None, "noting", input={"x": "a"}, after_seconds=1, webhook="http://127.0.0.1:9/hook"
        )

    async with encrypting(tmp_path, LOST) as sdk:

        async def over() -> Any:
            rows: Any = await sdk.http.get(f"/threads/{thread['thread_id']}/runs?select=status&select=run_id")
            return rows if rows[0]["status"] not in ("pending", "running") else None

        [row] = await eventually(over, "the end of the run")
        assert row == {"run_id": queued["run_id"], "status": "error"}
        told: Any = await sdk.http.get(f"/threads/{thread['thread_id']}/runs/{queued['run_id']}/join")
        assert key_id(OLD_KEY).hex() in told["__error__"]["message"]

        async def gone() -> bool:
            return not (await sdk.threads.search(ids=[stateless["thread_id"]]))

        await eventually(gone, "the end of the stateless run")
        other: Any = await sdk.threads.create()
        await talk(sdk, other["thread_id"], "fine")


async def test_a_server_without_encryption_does_not_start_on_encrypted_data(tmp_path: Path) -> None:
    await begun(tmp_path, FIRST)
    with pytest.raises(ConfigError, match="WAYSTATION_AES_OLD_KEYS"):
        create_app(project_config(tmp_path, graphs=GRAPHS))


async def test_encryption_can_be_ended(tmp_path: Path) -> None:
    thread_id = await begun(tmp_path, FIRST)
    async with encrypting(tmp_path, ENDED) as sdk:
        await talk(sdk, thread_id, "three")
        assert await said(sdk, thread_id) == ["one", "two", "three"]
        assert "threads" in tables_with(tmp_path, "three a long")


async def test_a_thread_whose_key_is_lost_does_not_keep_others_from_expiring(tmp_path: Path) -> None:
    async with encrypting(tmp_path, FIRST) as sdk:
        kept: Any = await sdk.threads.create(ttl={"ttl": 0, "strategy": "keep_latest"})
        await talk(sdk, kept["thread_id"], "one", "two")
        gone: Any = await sdk.threads.create(ttl=0)

    async with served(tmp_path, encryption=LOST, graphs=GRAPHS) as app:
        db = app.state.server.db
        await sweep_once(sweep_expired_threads(db, 100))
        left = await db.read(visible, [kept["thread_id"], gone["thread_id"]], EVERYTHING)
        assert left == [kept["thread_id"]]
