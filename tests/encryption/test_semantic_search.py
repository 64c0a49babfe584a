"""Items that are encrypted in part and found by meaning."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from tests.driver import eventually
from tests.encryption.conftest import KEY, OLD_KEY, encrypting, tables_with
from tests.store_semantic.conftest import PROJECT
from waystation.config import EncryptionConfig, IndexConfig, StoreConfig

INDEXED = StoreConfig(index=IndexConfig(4, f"{PROJECT}/embedders.py:embed", ("secret",)))


async def test_what_is_encrypted_is_found_by_meaning_and_not_by_filters(tmp_path: Path) -> None:
    encryption = EncryptionConfig(aes_key=KEY, json_keys=("secret",))
    async with encrypting(tmp_path, encryption, store=INDEXED) as sdk:
        for key, text in (("a", "a cat that hides"), ("b", "the rain that waits")):
            await sdk.store.put_item(("n",), key, {"secret": text, "open": key})
        found = await sdk.store.search_items(("n",), query="a cat that hides", filter={"open": {"$ne": "c"}})
        assert [item["key"] for item in found["items"]] == ["a", "b"]
        assert found["items"][0]["value"] == {"secret": "a cat that hides", "open": "a"}
        with pytest.raises(httpx.HTTPStatusError, match="stored encrypted"):
            await sdk.store.search_items(("n",), query="cat", filter={"secret": "a cat that hides"})
    assert tables_with(tmp_path, "that hides") == set()


async def test_items_are_embedded_anew_from_what_an_old_key_encrypted(tmp_path: Path) -> None:
    before = EncryptionConfig(aes_key=OLD_KEY, json_keys=("secret",))
    async with encrypting(tmp_path, before) as sdk:
        await sdk.store.put_item(("n",), "a", {"secret": "a cat that hides"})
    after = EncryptionConfig(aes_key=KEY, old_keys=(OLD_KEY,), json_keys=("secret",))
    async with encrypting(tmp_path, after, store=INDEXED) as sdk:
        await eventually(partial(_is_scored, sdk, "n"), "the item being embedded")


@pytest.mark.parametrize("fields", [("secret",), ("$",)], ids=["one field", "the whole value"])
async def test_an_item_whose_key_is_lost_holds_up_no_other(tmp_path: Path, fields: tuple[str, ...]) -> None:
    indexed = StoreConfig(index=IndexConfig(4, f"{PROJECT}/embedders.py:embed", fields))
    async with encrypting(tmp_path, EncryptionConfig(aes_key=OLD_KEY, json_keys=("secret",))) as sdk:
        await sdk.store.put_item(("n",), "locked", {"secret": "a cat that hides"})
    lost = EncryptionConfig(aes_key=KEY, json_keys=("secret",))
    async with encrypting(tmp_path, lost) as sdk:
        for namespace in ("before", "the others"):
            await sdk.store.put_item((namespace,), "a", {"secret": "a cat that hides"})
    async with encrypting(tmp_path, lost, store=indexed) as sdk:
        for namespace in ("before", "the others"):
            await eventually(partial(_is_scored, sdk, namespace), f"the item in {namespace} being embedded")
    found = EncryptionConfig(aes_key=KEY, old_keys=(OLD_KEY,), json_keys=("secret",))
    async with encrypting(tmp_path, found, store=indexed) as sdk:
        await eventually(partial(_is_scored, sdk, "n"), "the item being embedded once its key is back")


async def _is_scored(sdk: LangGraphClient, namespace: str) -> bool:
    found = await sdk.store.search_items((namespace,), query="a cat that hides")
    return [item["score"] is not None for item in found["items"]] == [True]
