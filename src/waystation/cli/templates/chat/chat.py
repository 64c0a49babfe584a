"""A chat: one node that streams a model's answer. The server keeps each thread's messages."""

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.graph import START, MessagesState, StateGraph
from offline_model import OfflineModel


def answer(messages: list[BaseMessage]) -> AIMessage:
    """What the demo model says."""
    questions = [message for message in messages if message.type == "human"]
    said = questions[-1].text if questions else ""
    return AIMessage(
        f"You said: {said!r}. That was message {len(questions)} of this thread. "
        "I am the demo model of this template and run without a key; offline_model.py says how to use a real one."
    )


model = OfflineModel(answer=answer)


async def respond(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """Ask the model for the next message."""
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node(respond).add_edge(START, "respond").compile()
