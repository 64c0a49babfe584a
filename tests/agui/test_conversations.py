"""What a front end sees of a conversation."""

from __future__ import annotations

import httpx
import pytest
from ag_ui.core import AssistantMessage, Context, Tool, ToolMessage, UserMessage
from ag_ui.core.types import DataSource, ImagePart, TextPart

from tests.agui.front_end import FrontEnd, of, types, user
from tests.driver import Driver


async def test_a_run(driver: Driver) -> None:
    front = FrontEnd(driver.http)
    events = await front.says("call weather")
    print(types(events))
    for e in events: print(e.model_dump_json(by_alias=True))
    assert 0
