"""The command as such."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.cli.command import run


def test_the_script_and_the_module_are_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("waystation")
    for command in ([str(script)], [sys.executable, "-m", "waystation"]):
        result = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert result.stdout.strip() == f"waystation {version('waystation')}"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, waystation.cli.main; print([m for m in ('langgraph', 'sqlalchemy', 'uvicorn') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_without_a_command_the_help(tmp_path: Path) -> None:
    result = run(cwd=tmp_path)
    assert result.returncode == 2
    for command in ("new", "dev", "serve", "worker", "migrate", "doctor"):
        assert command in result.stdout + result.stderr
