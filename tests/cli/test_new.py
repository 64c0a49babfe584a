"""`waystation new`: projects that work as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.cli.command import Command, run
from waystation.cli.new import create_project

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
TEMPLATES = ("chat", "agent", "deepagent")


def create(directory: Path, template: str) -> Path:
    create_project(directory, template)
    return directory


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncLangGraphClient]:
    """A client of a server with the graphs of one project of each template."""
    place = tmp_path_factory.mktemp("projects")
    graphs: dict[str, str] = {}
    dependencies: list[str] = []
    for template in TEMPLATES:
        project = create(place / template, template)
        made = json.loads((project / "langgraph.json").read_text())
        dependencies += [f"./{template}/{directory}" for directory in made["dependencies"]]
        graphs |= {graph_id: f"./{template}/{graph['path']}" for graph_id, graph in made["graphs"].items()}
    (place / "langgraph.json").write_text(json.dumps({"dependencies": dependencies, "graphs": graphs}))
    server = Command("serve", "--port", "0", cwd=place)
    try:
        with get_sync_client(url=server.url) as client:
            yield client
    finally:
        server.close()


def test_the_default_is_a_chat(tmp_path: Path) -> None:
    result = run("new", "made", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "waystation dev" in result.stdout
    assert json.loads((tmp_path / "made" / "langgraph.json").read_text())["graphs"].keys() == {"chat"}


def test_chat_streams_words_and_remembers(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    parts = [
        part.data[0]["content"]
        for part in client.runs.stream(thread, "chat", input=HELLO, stream_mode="messages-tuple")
        if part.event == "messages"
    ]
    assert len(parts) > 5
    assert "You said: 'Hello'. That was message 1" in "".join(parts)
    state = client.runs.wait(thread, "chat", input=HELLO)
    assert "That was message 2" in state["messages"][-1]["content"]  # type: ignore[call-overload]


def test_agent_waits_for_approval(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, "agent", input=HELLO)
    interrupted = client.threads.get(thread)
    assert interrupted["status"] == "interrupted"
    [waiting] = [item for items in interrupted["interrupts"].values() for item in items]
    assert waiting["value"]["action_requests"][0]["args"] == {"to": "alex", "text": "Hello"}
    client.runs.wait(thread, "agent", command={"resume": {"decisions": [{"type": "approve"}]}})
    messages = client.threads.get_state(thread)["values"]["messages"]  # type: ignore[call-overload]
    assert messages[-1]["content"].startswith("The outcome: Sent 'Hello' to alex.")


def test_deepagent_says_that_it_is_a_demo(client: SyncLangGraphClient) -> None:
    state: Any = client.runs.wait(None, "deepagent", input=HELLO)
    assert state["messages"][-1]["content"].startswith("[demo model] You said: 'Hello'.")


def test_deepagent_writes_files_delegates_and_waits_for_approval(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    request = 'write a.md: milk\nask scribe: write b.md: bread\ncall send_message {"to": "alex", "text": "Lunch?"}'
    given: dict[str, Any] = {"messages": [{"role": "user", "content": request}]}
    client.runs.wait(thread, "deepagent", input=given)
    assert client.threads.get(thread)["status"] == "interrupted"
    client.runs.wait(thread, "deepagent", command={"resume": {"decisions": [{"type": "approve"}]}})
    values: Any = client.threads.get_state(thread)["values"]
    assert {path: file["content"] for path, file in values["files"].items()} == {"/a.md": "milk", "/b.md": "bread"}
    assert "Sent 'Lunch?' to alex." in values["messages"][-1]["content"]


def test_the_key_file_stays_out_of_version_control(tmp_path: Path) -> None:
    project = create(tmp_path / "made", "chat")
    assert (project / ".env").read_text() == (project / ".env.example").read_text()
    assert ".env" in (project / ".gitignore").read_text().splitlines()
    assert (project / "README.md").read_text().startswith("# made\n")


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert (create(tmp_path / "made", "chat") / "chat.py").is_file()


@pytest.mark.parametrize("occupied", ["directory", "file"])
def test_nothing_is_overwritten(tmp_path: Path, occupied: str) -> None:
    target = tmp_path / "made"
    precious = target
    if occupied == "directory":
        target.mkdir()
        precious = target / "langgraph.json"
    precious.write_text("precious")
    result = run("new", "made", cwd=tmp_path)
    assert result.returncode == 1
    assert "nothing was written" in result.stderr
    assert precious.read_text() == "precious"
    assert not target.is_dir() or list(target.iterdir()) == [precious]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("new", "file/made", cwd=tmp_path)
    assert result.returncode == 1
    assert "file/made cannot be written" in result.stderr


def test_an_unknown_template(tmp_path: Path) -> None:
    result = run("new", "made", "--template", "poem", cwd=tmp_path)
    assert result.returncode == 2
    assert "poem" in result.stderr
    assert not (tmp_path / "made").exists()
