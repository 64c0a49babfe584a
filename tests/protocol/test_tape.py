"""Frames made of the log of a thread."""

from __future__ import annotations

import json
from typing import Any

from tests.protocol.client import Client
from waystation.protocol.tape import TOKEN, Tape
from waystation.storage.database import Database
from waystation.streams.events import PROTOCOL_ONLY, Event

POSITION = 1_790_000_000_000 << 20

DELTA = {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": 'a "ü"'}, "run_id": "m"}


def told(data: Any, namespace: str = "") -> Event:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return Event(POSITION, "thread", "run", PROTOCOL_ONLY + "messages" + namespace, text)


async def test_a_token_is_shown_as_if_it_were_decoded(db: Database) -> None:
    for node in ({"node": 'a "node"'}, {}):
        for namespace in ("", '|sub:1|"b":2'):
            quick = told({"data": DELTA, **node}, namespace)
            slow = told({**node, "data": DELTA}, namespace)
            assert quick.data.startswith(TOKEN)
            assert slow.data.startswith(TOKEN) == (not node)
            slow = slow if node else Event(slow.position, "thread", "run", slow.name, slow.data.replace(b":", b": ", 1))
            [one], [other] = await Tape(db, "thread").frames([quick]), await Tape(db, "thread").frames([slow])
            assert one == other
            shown = json.loads(one.envelope)["params"]
            assert shown == {**shown, "data": DELTA, **node, "namespace": namespace.split("|")[1:]}


async def test_tokens_of_a_run_go_the_short_way(client: Client) -> None:
    """The form of the log is what is looked for."""
    await client.run("chat", {"messages": [{"role": "user", "content": "2"}]})
    whole = await client.until()
    deltas = [each["params"] for each in whole if each["method"] == "messages"]
    tokens = [each for each in deltas if each["data"]["event"] == "content-block-delta"]
    assert tokens
    for each in tokens:
        assert json.dumps({"data": each["data"]}, separators=(",", ":")).encode().startswith(TOKEN)
