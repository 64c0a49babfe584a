"""The vendor's client without asyncio, over a network."""

from __future__ import annotations

from uuid import uuid4

from managed_deepagents import Client

from tests.live import LiveServer


def test_every_operation(live_server: LiveServer) -> None:
    with Client(api_url=live_server.url, api_key="whatever") as client:
        agent_id, thread_id = client.agents.create(name="clerk")["id"], str(uuid4())
        thread = client.threads.create(agent_id=agent_id, thread_id=thread_id, metadata={"n": 1})
        assert thread["id"] == thread_id
        assert client.threads.get(thread_id)["status"] == "idle"
        listed = client.threads.list(agent_id=agent_id, is_pinned=False, requires_attention=False, test_run=False)
        assert [each["id"] for each in listed["threads"]] == [thread_id]
        assert client.threads.search(metadata={"n": 1})[0]["thread_id"] == thread_id
        assert client.threads.count() == client.threads.count(agent_id=agent_id) == {"attention_count": 0}
        assert client.threads.update(thread_id, {"title": "T"}, metadata={"read_status": False})["title"] == "T"
        assert client.threads.count() == {"attention_count": 1}
        results = client.threads.bulk_update(thread_ids=[thread_id], data={"metadata": {"read_status": True}})
        assert results == {"results": [{"id": thread_id, "status": "success"}]}
        assert client.threads.delete(thread_id) is None
        assert client.threads.list(agent_id=agent_id) == {"threads": [], "next_cursor": None}
