"""The graph of docs/deep-agents-runtime.md: an agent from the files beside this one."""

from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from waystation.deepagents.compile import Compiler, CompileRequest, parse_tree
from waystation.deepagents.models import Models

TREE = Path(__file__).parent / "tree"
COMPILER = Compiler(Models(default="demo:chat"))


async def agent(config: RunnableConfig) -> Any:
    """The newest revision; it is compiled when it has changed."""
    files = {str(path.relative_to(TREE)): path.read_text() for path in TREE.rglob("*") if path.is_file()}
    user = config["configurable"].get("langgraph_auth_user_id", "local")
    return await COMPILER.graph(CompileRequest(parse_tree(files), agent_id="assistant", user_id=user))
