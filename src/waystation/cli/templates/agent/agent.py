"""An agent with one tool. A person approves, edits or rejects each call before it is carried out."""

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.tools import tool
from offline_model import OfflineModel


@tool
def send_message(to: str, text: str) -> str:
    """Send `text` to the person `to`."""
    return f"Sent {text!r} to {to}. (A demo: nothing left this machine.)"


def answer(messages: list[BaseMessage]) -> AIMessage:
    """What the demo model says: it calls the tool for every request, and then reports the outcome."""
    last = messages[-1]
    if last.type == "human":
        call = ToolCall(name="send_message", args={"to": "alex", "text": last.text}, id=f"call_{len(messages)}")
        return AIMessage("I would like to send this.", tool_calls=[call])
    return AIMessage(f"The outcome: {last.text}")


graph = create_agent(
    OfflineModel(answer=answer),
    tools=[send_message],
    system_prompt="You send messages on behalf of the user.",
    middleware=[
        HumanInTheLoopMiddleware({"send_message": {"allowed_decisions": ["approve", "edit", "reject"]}}),
    ],
)
