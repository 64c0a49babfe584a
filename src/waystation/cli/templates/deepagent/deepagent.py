"""A deep agent: it works with files, delegates to a subagent, and asks a person before it sends anything."""

from deepagents import create_deep_agent
from langchain_core.tools import tool

from waystation.deepagents.models import chat_model

# The demo model needs no key and follows simple instructions (README.md). For a real one put its key into .env, install its
# package (pip install 'waystation[anthropic]'), and name it here, such as "anthropic:claude-sonnet-4-5".
model = chat_model("demo:chat", seconds_per_word=0.02)


@tool
def send_message(to: str, text: str) -> str:
    """Send `text` to the person `to`."""
    return f"Sent {text!r} to {to}. (A demo: nothing left this machine.)"


graph = create_deep_agent(
    model,
    tools=[send_message],
    system_prompt="You are an assistant who keeps notes in files.",
    subagents=[
        {
            "name": "scribe",
            "description": "Writes files.",
            "system_prompt": "You write down what you are told.",
            "tools": [],
        }
    ],
    interrupt_on={"send_message": {"allowed_decisions": ["approve", "edit", "reject"]}},
)
