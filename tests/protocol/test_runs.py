"""A run from ``run.start`` to its end, as its events tell it."""

from __future__ import annotations

from tests.protocol.client import Client, at, kinds, of

SPEAK = {"messages": [{"role": "user", "content": "3"}]}


async def test_a_run_tells_everything(client: Client) -> None:
    run_id = await client.run("chat", SPEAK)
    events = await client.until()
    import json
    for e in events: print(json.dumps(e)[:300])
    assert kinds(events) == ["running", "completed"]
