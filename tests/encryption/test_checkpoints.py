"""The saver on an encrypted database: still LangGraph's contract, and still whole after copies, pruning and rollbacks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer
from uuid_utils import uuid6

from tests.databases import open_database
from tests.encryption.conftest import KEY, OLD_KEY
from tests.encryption.given import by_tenant
from waystation.encryption.aes import AesSeals
from waystation.encryption.custom import CustomSeals
from waystation.encryption.keys import Keyring
from waystation.storage import checkpoints
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.storage.sealed_database import SealedDatabase
from waystation.storage.sealing import Seals, under

VERSIONS = 150
"""More than a chain of differences has (`deltas.STEPS`), twice over."""


def with_key(current: bytes | None = KEY, *old: bytes) -> Seals:
    return AesSeals(Keyring(current, old), searched=frozenset())


def with_handlers() -> Seals:
    return CustomSeals(by_tenant(), with_key(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("seals", [with_key, with_handlers])
@pytest.mark.parametrize("kind", ["saver", "run saver"])
async def test_saver_passes_every_capability(kind: str, seals: Any, tmp_path: Path) -> None:
    files = iter(range(100))

    async def fresh() -> AsyncGenerator[Any, None]:
        db = SealedDatabase(open_database(tmp_path / f"{next(files)}.sqlite"), seals())
        saver = Saver(db)
        yield saver if kind == "saver" else saver.for_run(None)
        await db.close()

    with under({"tenant": "acme"}):
        report = await validate(RegisteredCheckpointer(name=kind, factory=fresh))

    assert {name: result.failures for name, result in report.results.items() if result.failures} == {}
    assert {name for name, result in report.results.items() if result.passed} == {each.value for each in Capability}


async def put(saver: Saver, thread_id: str, parent: Any, value: list[str], run_id: str = "") -> Any:
    """A checkpoint with `value` in its only channel, after `parent`; returns its config."""
    config: Any = parent or {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    found = await saver.aget_tuple(parent) if parent else None
    current = found.checkpoint["channel_versions"]["log"] if found else None
    version = saver.get_next_version(current, None)
    checkpoint = {
        **empty_checkpoint(),
        "id": str(uuid6()),
        "channel_values": {"log": value},
        "channel_versions": {"log": version},
    }
    metadata: Any = {"source": "loop", "step": 0, "run_id": run_id}
    return await saver.aput(config, checkpoint, metadata, {"log": version})  # type: ignore[arg-type]


async def grown(saver: Saver, thread_id: str, parent: Any, log: list[str], count: int, run_id: str = "") -> Any:
    for _ in range(count):
        log.append(f"entry {len(log)} of a log that grows and grows")
        parent = await put(saver, thread_id, parent, list(log), run_id)
    return parent


async def logs_of(saver: Saver, thread_id: str) -> list[list[str]]:
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    return [found.checkpoint["channel_values"]["log"] async for found in saver.alist(config)]


async def test_a_chain_of_differences_goes_on_over_rotations(db: Database) -> None:
    log: list[str] = []
    parent: Any = None
    stages: list[Seals] = [with_key(None), with_key(OLD_KEY), with_key(KEY, OLD_KEY)]
    for seals in stages:
        parent = await grown(Saver(SealedDatabase(db, seals)), "thread", parent, log, VERSIONS // len(stages))

    sealed = SealedDatabase(db, with_key(KEY, OLD_KEY))
    saver = Saver(sealed)
    assert await logs_of(saver, "thread") == [log[:length] for length in range(len(log), 0, -1)]
    await saver.acopy_thread("thread", "copy")
    await grown(saver, "thread", parent, kept := list(log), 5, run_id="11111111-1111-4111-8111-111111111111")
    assert (await logs_of(saver, "thread"))[0] == kept
    await sealed.write(checkpoints.delete_for_runs, "thread", ["11111111-1111-4111-8111-111111111111"])
    assert (await logs_of(saver, "thread"))[0] == log
    await saver.aprune(["thread"])
    assert await logs_of(Saver(sealed), "thread") == [log]
    assert len(await logs_of(Saver(sealed), "copy")) == len(log)
