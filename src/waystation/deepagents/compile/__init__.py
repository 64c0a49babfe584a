"""Turning an agent's files into a graph (deepagents-runtime.md).

`parse_tree` reads the files, `Compiler` makes graphs of what they define and keeps them.
"""

from waystation.deepagents.compile.compiler import Compiler
from waystation.deepagents.compile.definition import AgentDefinition, Skill, Subagent, Toolbox, ToolReference
from waystation.deepagents.compile.parsing import parse_tree
from waystation.deepagents.compile.request import CompileRequest
from waystation.deepagents.tool_source import ServerTools, ToolSource, ToolsUnavailable

__all__ = [
    "AgentDefinition",
    "CompileRequest",
    "Compiler",
    "ServerTools",
    "Skill",
    "Subagent",
    "ToolReference",
    "ToolSource",
    "Toolbox",
    "ToolsUnavailable",
    "parse_tree",
]
