"""A project with a custom app, started as a person starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.cli.command import run, write_project
from tests.cli.conftest import Start, start
from tests.processes import running_server

__all__ = ["start"]

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, WebSocket

@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "GREETING"}

app = FastAPI(lifespan=lifespan)

@app.get("/hello")
async def hello():
    return "GREETING"

@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text(websocket.state.greeting + (await websocket.receive_text()))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a custom app."""
    return with_app(tmp_path / "project", APP).parent


def with_app(directory: Path, source: str, **http: Any) -> Path:
    config = write_project(directory)
    write_app(directory, source)
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "http": {"app": "./web/app.py:app", **http}}))
    return config


def write_app(directory: Path, source: str) -> None:
    (directory / "web").mkdir(exist_ok=True)
    (directory / "web" / "app.py").write_text(source)


def test_websockets(tmp_path: Path) -> None:
    config = with_app(tmp_path / "project", APP, mount_prefix="/api")
    with running_server(tmp_path / "data", config=config) as server:
        url = server.url.replace("http", "ws")
        with connect(f"{url}/api/echo") as socket:
            socket.send("!")
            assert socket.recv() == "GREETING!"
        for path in ("/echo", "/api/hello", "/api/threads", "/api/nothing"):
            with pytest.raises(InvalidStatus, match=r"HTTP (404|403)"):
                connect(f"{url}{path}")
        assert httpx.get(f"{server.url}/api/hello").json() == "GREETING"
        assert server.stop() == 0


def test_a_change_is_loaded_and_a_broken_one_is_not(project: Path, start: Start) -> None:
    dev = start("dev", "--port", "0", cwd=project)
    url = dev.url
    assert httpx.get(f"{url}/hello").json() == "GREETING"
    write_app(project, APP.replace("GREETING", "good morning"))
    dev.wait_for("Reloaded")
    assert httpx.get(f"{url}/hello").json() == "good morning"
    write_app(project, "app = 1\n")
    dev.wait_for("must be a starlette.applications.Starlette or fastapi.FastAPI object; it is a int")
    assert httpx.get(f"{url}/hello").json() == "good morning"
    write_app(project, APP)
    dev.wait_for("Reloaded", times=2)
    assert httpx.get(f"{url}/hello").json() == "GREETING"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("app = 1", "it is a int"),
        ("import starlette.applications as s\napp = s.Starlette", "it is the class Starlette and not an object of it"),
        ("def app(): ...", "it is a function; if it makes the application, call it"),
        ("other = 1", "there is no such variable"),
        ("import nothing_like_that", "line 1: ModuleNotFoundError"),
        ("import fastapi\napp = fastapi.FastAPI(on_startup=[print])", "has on_startup handlers, which would not run"),
        (
            "import fastapi\nrouter = fastapi.APIRouter(on_startup=[print], on_shutdown=[print])\n"
            "app = fastapi.FastAPI()\napp.include_router(router)",
            "has on_startup and on_shutdown handlers",
        ),
        (
            "import contextlib, starlette.applications as s\n@contextlib.asynccontextmanager\nasync def life(app):\n"
            "    raise OSError('no pool')\n    yield\napp = s.Starlette(lifespan=life)",
            "web/app.py, line 4: OSError: no pool",
        ),
    ],
)
def test_what_cannot_be_served(tmp_path: Path, source: str, reason: str) -> None:
    config = with_app(tmp_path / "project", source)
    result = run("serve", "--port", "0", cwd=config.parent)
    assert result.returncode == 1
    assert "http.app: " in result.stderr
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
