"""What a server is told by its configuration, and what it stores: of OpenAI's API and of AG-UI alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.agui.front_end import FrontEnd, read, user
from tests.auth.test_api_keys import by
from tests.auth.test_revocation import key_of, revoke
from tests.conftest import connected, project_config, served
from tests.encryption.conftest import SECRET_KEYS, tables_with
from tests.live import listening
from waystation.app import create_app
from waystation.config import HttpConfig

CREATE = {"model": "helper", "input": "hi"}
PATIENCE_S = 15


@pytest.mark.parametrize("family", ["openai", "agui"])
async def test_a_disabled_family_is_not_routed(tmp_path: Path, family: str) -> None:
    async with served(tmp_path, http=HttpConfig(disabled=frozenset({family}))) as app, connected(app) as http:
        front = FrontEnd(http)
        answers = {
            "openai": await http.post("/v1/responses", json=CREATE),
            "agui": await http.post(front.path, json=front.input(user("hi"))),
        }
        assert answers.pop(family).json() == {"detail": "Not Found"}
        assert [answer.status_code for answer in answers.values()] == [200]
        paths = (await http.get("/openapi.json")).json()["paths"]
        assert ("/v1/responses" in paths, "/agui/{assistant_id}" in paths) == (family != "openai", family != "agui")


async def test_below_a_prefix(tmp_path: Path) -> None:
    async with served(tmp_path, http=HttpConfig(mount_prefix="/api")) as app, connected(app) as http:
        made = (await http.post("/api/v1/responses", json=CREATE)).json()
        assert (await http.get(f"/api/v1/responses/{made['id']}")).json() == made
        assert (await http.get("/api/v1/models/nobody")).json()["error"]["code"] == "model_not_found"


async def test_a_key_that_is_revoked(tmp_path: Path) -> None:
    """Each stream ends with an event of its protocol."""
    with listening(create_app(project_config(tmp_path, api_keys=True, heartbeat_s=0.1))) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, verify=False) as http:
            front, asking = FrontEnd(http, "slow_chat"), {"model": "slow_chat", "input": "2000", "stream": True}
            for path, body in (("/v1/responses", asking), (front.path, front.input(user("2000")))):
                key = key_of(server)
                async with http.stream("POST", path, json=body, headers=by(key)) as response:
                    pieces = response.aiter_text()
                    told = await anext(pieces)
                    revoke(server, key)
                    told += "".join([piece async for piece in pieces])
                last = told.strip().rpartition("\n\n")[2]
                assert "The credentials are no longer valid." in last
                if path == front.path:
                    assert read(told)[-1].code == "unauthorized"
                else:
                    assert last.startswith("event: error\n")


async def test_nothing_said_is_stored_in_the_clear(tmp_path: Path) -> None:
    said = "what-the-user-said"

    async def say(http: httpx.AsyncClient) -> None:
        body: dict[str, Any] = {"input": said, "instructions": said, "tools": [{"type": "function", "name": said}]}
        made = await http.post("/v1/responses", json={**CREATE, **body})
        assert made.json()["instructions"] == said
        front = FrontEnd(http)
        front.state = {"notes": {"said": said}}
        await front.says(said, forwarded_props={"said": said}, run_id=str(uuid4()))
        assert front.state["notes"]["said"] == said

    async with served(tmp_path, encryption=SECRET_KEYS) as app, connected(app) as http:
        await say(http)
        assert tables_with(tmp_path, said) == set()
    (other := tmp_path / "other").mkdir()
    async with served(other) as app, connected(app) as http:
        await say(http)
        assert {"runs", "threads"} <= tables_with(other, said)


async def test_agents_that_are_made_through_the_api(tmp_path: Path) -> None:
    """They are assistants like any other: their approvals are interrupts."""
    approval = {"tools": {"tools": [], "interrupt_config": {"write_file": True}}}
    approve = {"decisions": [{"type": "approve"}]}
    write = "write notes.md: Dewey, 1876"
    async with served(tmp_path, default_model="demo:chat") as app, connected(app) as http:
        made = await http.post("/v1/deepagents/agents", json={"name": "clerk", **approval})
        paused = (await http.post("/v1/responses", json={"model": "clerk", "input": write})).json()
        assert paused["status"] == "incomplete"
        call = paused["output"][-1]
        answer = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(approve)}
        body = {"model": "clerk", "input": [answer], "previous_response_id": paused["id"]}
        done = (await http.post("/v1/responses", json=body)).json()
        assert (done["status"], done["output"][0]["name"]) == ("completed", "write_file")

        front = FrontEnd(http, made.json()["id"])
        [interrupt] = (await front.says(write))[-1].outcome.interrupts
        assert "write_file" in interrupt.message
        resume = [{"interrupt_id": interrupt.id, "status": "resolved", "payload": approve}]
        assert (await front.runs(resume=resume))[-1].outcome.type == "success"
        assert "notes.md" in str(front.state["files"])
        [interrupt] = (await front.says(write.replace("notes", "more")))[-1].outcome.interrupts
        await front.runs(resume=[{"interrupt_id": interrupt.id, "status": "cancelled"}])
        assert "more.md" not in str(front.state["files"])
