"""The public conformance suite, for the saver itself and for the saver of a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.conformance import validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer

from tests.databases import open_database
from waystation.storage.checkpoints import Saver


@pytest.mark.parametrize("kind", ["saver", "run saver", "waiting run saver"])
async def test_saver_passes_every_capability(kind: str, tmp_path: Path) -> None:
    files = iter(range(100))

    async def fresh() -> AsyncGenerator[Any, None]:
        db = open_database(tmp_path / f"{next(files)}.sqlite")
        saver = Saver(db)
        yield saver if kind == "saver" else saver.for_run(None, wait=kind == "waiting run saver")
        await db.close()

    report = await validate(RegisteredCheckpointer(name=kind, factory=fresh))

    assert {name: result.failures for name, result in report.results.items() if result.failures} == {}
    assert {name for name, result in report.results.items() if result.passed} == {each.value for each in Capability}
