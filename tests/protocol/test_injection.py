"""What is said to an agent while it works."""

from __future__ import annotations

from tests.driver import Driver
from tests.gate import Gate
from tests.protocol.client import Client, ended, kinds, of, taken

SHORT, LONG = ({"messages": [{"role": "user", "content": count}]} for count in ("1", "40"))

MORE = {"role": "user", "content": "2"}


async def test_it_is_read_when_the_work_is_done(client: Client, driver: Driver) -> None:
    async with client.events() as events:
        first = await client.run("slow_chat", LONG)
        second = (await client.done("input.inject", namespace=[], message=MORE))["run_id"]
        third = (await client.done("input.inject", message={"role": "system", "content": "3"}))["run_id"]
        told = [*await taken(events), *await taken(events), *await taken(events)]
    assert kinds(told) == ["running", "completed"] * 3
    messages = of(told, "values", [])[-1]["messages"]
    assert [each["type"] for each in messages] == ["human", "ai", "human", "ai", "system", "ai"]
    assert [each["content"] for each in messages][2:4] == ["2", "w0 w1"]
    runs = (await client.http.get(f"/threads/{client.thread_id}/runs")).json()
    assert [each["run_id"] for each in runs] == [third, second, first]
    assert {each["status"] for each in runs} == {"success"}
    assert len({each["assistant_id"] for each in runs}) == 1


async def test_nobody_is_at_work(client: Client) -> None:
    await client.run("chat", SHORT)
    await client.until(ended)
    answer = await client.command("input.inject", message=MORE)
    assert answer["error"] == "no_such_run"


async def test_who_is_at_work_takes_no_messages(client: Client, gate: Gate, driver: Driver) -> None:
    await client.run("gated", gate.state)
    await gate.reached()
    answer = await client.command("input.inject", message=MORE)
    assert answer["error"] == "not_supported"
    assert "gated" in answer["message"]
    gate.open()
    await driver.settled(client.thread_id)
