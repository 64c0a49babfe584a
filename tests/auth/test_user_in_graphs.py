"""Graphs know whose run they execute (spec 5.3, 17.2, 18.5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.auth.given import by_header, configured
from tests.conftest import connected, served
from waystation.config import GraphSpec

GRAPHS = Path(__file__).parent / "project" / "graphs.py"
ANN = {"X-User": "ann", "X-Permissions": "read write"}
SEEN = {
    "identity": "ann",
    "display_name": "ann",
    "org": "acme",
    "is_authenticated": True,
    "permissions": ["read", "write"],
}


def graphs(*names: str) -> dict[str, GraphSpec]:
    return {name: GraphSpec(name, f"{GRAPHS}:{name}") for name in names}


@pytest.mark.parametrize("graph", ["whoami", "whoami_sync"])
async def test_user_in_the_config(tmp_path: Path, graph: str) -> None:
    auth = configured(by_header())
    async with served(tmp_path, auth=auth, graphs=graphs(graph)) as app, connected(app) as http:
        forged = {"configurable": {"langgraph_auth_user": {"identity": "root"}, "langgraph_auth_user_id": "root"}}
        body = {"assistant_id": graph, "input": {}, "config": forged}
        response = await http.post("/runs/wait", json=body, headers=ANN)
        said = json.loads(response.json()["said"])
        assert said["user"] == SEEN
        assert said["attributes"] == ["ann", "acme", ["read", "write"]]
        assert (said["user_id"], said["permissions"]) == ("ann", ["read", "write"])
        assert said["user_of_the_run"] == "ann"
        assert said["of_the_runtime"] == "ann"


async def test_user_of_a_stored_run_is_in_it_and_in_its_checkpoints(tmp_path: Path) -> None:
    auth = configured(by_header())
    async with served(tmp_path, auth=auth, graphs=graphs("whoami")) as app, connected(app) as http:
        thread = (await http.post("/threads", json={}, headers=ANN)).json()["thread_id"]
        path = f"/threads/{thread}"
        await http.post(f"{path}/runs/wait", json={"assistant_id": "whoami", "input": {}}, headers=ANN)
        [run] = (await http.get(f"{path}/runs", headers=ANN)).json()
        configurable = run["kwargs"]["config"]["configurable"]
        assert (configurable["langgraph_auth_user"], configurable["user_id"]) == (SEEN, "ann")
        state = (await http.get(f"{path}/state", headers=ANN)).json()
        assert state["metadata"]["langgraph_auth_user_id"] == "ann"
        # Somebody else goes on with the thread: it is not the first one's run.
        other = {"X-User": "bob"}
        answer = await http.post(f"{path}/runs/wait", json={"assistant_id": "whoami", "input": {}}, headers=other)
        assert json.loads(answer.json()["said"])["user"]["identity"] == "bob"


async def test_factories_get_the_user(tmp_path: Path) -> None:
    auth = configured(by_header())
    async with served(tmp_path, auth=auth, graphs=graphs("made")) as app, connected(app) as http:
        thread = (await http.post("/threads", json={}, headers=ANN)).json()["thread_id"]
        answer = await http.post(
            f"/threads/{thread}/runs/wait", json={"assistant_id": "made", "input": {}}, headers=ANN
        )
        assert answer.json()["said"] == "made for ann"
        bob = {"X-User": "bob"}
        drawing = (await http.get("/assistants/made/graph", headers=bob)).json()
        assert "bob" in {node["id"] for node in drawing["nodes"]}
        assert (await http.get(f"/threads/{thread}/state", headers=ANN)).json()["values"]["said"] == "made for ann"


async def test_the_studio_user_is_recognised_in_graphs(tmp_path: Path) -> None:
    auth = configured(by_header(), disable_studio_auth=False)
    async with served(tmp_path, auth=auth, graphs=graphs("whoami")) as app, connected(app) as http:
        body: dict[str, Any] = {"assistant_id": "whoami", "input": {}}
        answer = await http.post("/runs/wait", json=body, headers={"X-Auth-Scheme": "langsmith"})
        assert json.loads(answer.json()["said"])["user"]["kind"] == "StudioUser"


async def test_without_authentication_there_is_no_user(tmp_path: Path) -> None:
    async with served(tmp_path, graphs=graphs("whoami")) as app, connected(app) as http:
        answer = await http.post("/runs/wait", json={"assistant_id": "whoami", "input": {}})
        assert json.loads(answer.json()["said"])["user"] is None
