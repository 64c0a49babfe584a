"""The official JavaScript clients: `tests/clients/js`, run by Node's test runner against a live server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "js"
LOCK = PACKAGE / "package-lock.json"
INSTALLED = PACKAGE / "node_modules" / ".package-lock.json"

NEEDED = "The JavaScript client tests need Node.js 20 or newer with npm."
INSTALL_S = 240
RUN_S = 180


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the packages that the lock file names."""
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node is not None, NEEDED
    assert npm is not None, NEEDED
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.strip().removeprefix("v").split(".")[0]) >= 20, f"{NEEDED} This is {version}"
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        install = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(install, cwd=PACKAGE, capture_output=True, text=True, timeout=INSTALL_S)
        assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
        os.utime(INSTALLED)
    return node


@pytest.mark.timeout(INSTALL_S + RUN_S)
def test_javascript_clients(node: str, url: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGGRAPH"))}
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec"],
        cwd=PACKAGE,
        env={**clean, "WAYSTATION_URL": url},
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= len(list((PACKAGE / "tests").glob("*.test.js"))), done.stdout


def test_versions_are_pinned() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    locked = json.loads(LOCK.read_text())["packages"]
    for name, version in package["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version


def test_lock_file_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    assert [name for name, each in packages.items() if "resolved" in each] == []
    assert all("integrity" in each for name, each in packages.items() if name)
