"""What a front end sees of a conversation."""

from __future__ import annotations

from tests.agui.front_end import FrontEnd, types
from tests.driver import Driver


async def test_a_run(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    events = await front.says("call weather")
    print(types(events))
    for e in events:
        print(e.model_dump_json(by_alias=True))
    assert 0
