"""What docs/a2a.md shows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.live import LiveServer

PAGE = Path(__file__).parents[2] / "docs" / "a2a.md"


async def test_the_example(live_server: LiveServer, capfd: pytest.CaptureFixture[str]) -> None:
    example = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    code = compile(example.replace("http://127.0.0.1:2024", live_server.url), PAGE.name, "exec")
    await asyncio.to_thread(exec, code, {})
    assert capfd.readouterr().out.splitlines()[-1] == "w0 w1 w2"
