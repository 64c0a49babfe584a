"""Which calls wait for a person: every spelling of a key of ``interrupt_config``."""

from __future__ import annotations

import pytest

from waystation.deepagents.compile import ToolReference
from waystation.deepagents.compile.gates import gated

URL = "http://[::1]:8000/mcp"
TOOL = ToolReference("send", URL, "Post", "Send")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, False),
        ({f"{URL}::send": True}, True),
        ({f"{URL}/::send": True}, True),
        ({f" {URL.upper()}//::send": True}, True),
        ({f"{URL}::send::Post": True}, True),
        ({f"{URL}::send::any::thing": True}, True),
        ({f"{URL}::Post::send": True}, True),
        ({f"{URL}::Other::send": True}, False),
        ({f"{URL}::purge": True}, False),
        ({f"{URL}::purge::send": True}, False),
        ({"http://[::1]:9000/mcp::send": True}, False),
        ({"send": True}, True),
        ({"Send": True}, False),
        ({"send": False}, False),
        ({"send": True, f"{URL}::send": False}, False),
        ({"send": False, f"{URL}::send": True}, True),
        ({f"{URL}::send": False, f"{URL}/::send::Post": True}, True),
    ],
)
def test_matching(config: dict[str, bool], expected: bool) -> None:
    assert gated(TOOL, config) is expected
