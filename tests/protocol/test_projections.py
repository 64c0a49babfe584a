"""Stream transformers: what a project makes of its runs' events."""

from __future__ import annotations

from tests.protocol.client import Client, kinds, of


def saying(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_a_named_channel_is_a_custom_channel(client: Client) -> None:
    await client.run("counting", saying("a b c"))
    for channels in (["custom", "lifecycle"], ["custom:words", "lifecycle"]):
        events = await client.until(channels=channels)
        assert of(events, "custom") == [
            {"name": "words", "payload": payload} for payload in ({"so_far": 3}, {"so_far": 6}, {"in_all": 6})
        ]
    assert of(await client.until(channels=["custom:others", "lifecycle"]), "custom") == []


async def test_a_transformer_that_fails_does_not_fail_the_run(client: Client) -> None:
    await client.run("counting", saying("fail"))
    events = await client.until()
    assert kinds(events) == ["running", "completed"]
    assert of(events, "custom") == []
    assert of(events, "values")[-1]["messages"][-1]["content"] == "fail"
