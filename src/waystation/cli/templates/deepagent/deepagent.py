"""A deep agent: it plans with a to-do list, and keeps its work in files of the thread."""

from itertools import takewhile

from deepagents import create_deep_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from offline_model import OfflineModel


def answer(messages: list[BaseMessage]) -> AIMessage:
    """What the demo model says: plan, write the notes, tick the plan off, report."""
    turn = list(takewhile(lambda message: message.type != "human", reversed(messages)))
    done = sum(message.type == "tool" for message in turn)
    request = next((message.text for message in reversed(messages) if message.type == "human"), "")
    number = len(messages)
    match done:
        case 0:
            return _call("I plan first.", "write_todos", {"todos": _todos("in_progress")}, number)
        case 1:
            content = f"# Notes\n\nThe request: {request}\n"
            return _call(
                "Now the notes.", "write_file", {"file_path": f"/notes-{number}.md", "content": content}, number
            )
        case 2:
            return _call("That is all.", "write_todos", {"todos": _todos("completed")}, number)
    return AIMessage(f"Done: your request {request!r} is in the notes of this thread.")


def _call(text: str, tool: str, args: dict[str, object], number: int) -> AIMessage:
    return AIMessage(text, tool_calls=[ToolCall(name=tool, args=args, id=f"call_{number}")])


def _todos(status: str) -> list[dict[str, str]]:
    return [{"content": "Write the request down", "status": status}]


graph = create_deep_agent(
    model=OfflineModel(answer=answer),
    middleware=[TodoListMiddleware()],
    system_prompt="You write down what the user asks for.",
)
