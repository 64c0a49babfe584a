"""What docs/custom-app.md shows."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.processes import running_server

PAGE = Path(__file__).parents[2] / "docs" / "custom-app.md"

AGENT = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def answer(state):
    return {"messages": [AIMessage("You asked: " + state["messages"][-1].content)]}

graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
"""


def shown(language: str) -> str:
    """The first example in `language`."""
    return PAGE.read_text().partition(f"```{language}\n")[2].partition("```")[0]


def test_the_example(tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text(shown("json"))
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "web.py").write_text(shown("python"))
    with running_server(tmp_path / "data", config=tmp_path / "langgraph.json") as server:
        response = httpx.post(f"{server.url}/ask", params={"question": "Why?"}, timeout=30)
        assert response.json() == {"answer": "Hello! You asked: Why?"}
        assert httpx.get(f"{server.url}/info").headers["x-served-by"] == "my-project"
        assert "/ask" in json.loads(httpx.get(f"{server.url}/openapi.json").text)["paths"]
