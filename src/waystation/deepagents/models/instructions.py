"""What the demo model understands: instructions in plain text, as calls of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

__all__ = ["HELP", "Step", "Surroundings", "recalled", "steps_of"]

HELP = (
    "I am not a language model; I follow instructions, one a line: `write notes.md: text`, `read notes.md`, "
    "`remember text`, `skill name`, `ask subagent: instruction`, `call tool {json}`. What do I remember? Ask me that."
)

MEMORY = "/memories/AGENTS.md"

Call = tuple[str, dict[str, Any]]
"""Name and arguments of a tool."""

Step = list[Call]
"""What is called at the same time."""


class Surroundings(Struct, frozen=True):
    """What the model knows besides the conversation."""

    prompt: str
    """The system prompt."""
    tools: frozenset[str]
    """The names of the tools it can call."""

    @property
    def memory(self) -> str:
        """The agent's memory, as the prompt quotes it."""
        found = re.search(rf"{re.escape(MEMORY)}\n\n(.*?)\s*</agent_memory>", self.prompt, re.DOTALL)
        return found[1] if found else ""


class _Misunderstood(Exception):
    """An instruction that cannot be carried out; the text says why."""


def recalled(request: str, surroundings: Surroundings) -> str | None:
    """The answer to a question about the memory; None if `request` is no such question."""
    if "remember" not in request.lower() or not request.rstrip().endswith("?"):
        return None
    return f"I remember:\n{surroundings.memory}" if surroundings.memory else "I remember nothing yet."


def steps_of(request: str, surroundings: Surroundings) -> tuple[list[Step], list[str]]:
    """What the instructions in `request` call, step by step, and what is wrong with those that cannot be carried out."""
    steps, complaints = [], []
    for line in request.splitlines():
        step = []
        for instruction in line.split(" && "):
            try:
                call = _call(instruction.strip(), surroundings)
            except _Misunderstood as reason:
                complaints.append(str(reason))
                continue
            if call is not None:
                step.append(call)
        if step:
            steps.append(step)
    return steps, complaints


def _call(instruction: str, surroundings: Surroundings) -> Call | None:
    """The call that `instruction` asks for; None if it is no instruction."""
    for pattern, meaning in _INSTRUCTIONS:
        found = pattern.fullmatch(instruction)
        if found:
            name, args = meaning(found, surroundings)
            if name not in surroundings.tools:
                raise _Misunderstood(
                    f"I have no tool {name}; I have {', '.join(sorted(surroundings.tools)) or 'none'}."
                )
            return name, args
    return None


def _write(found: re.Match[str], _: Surroundings) -> Call:
    return "write_file", {"file_path": _absolute(found[1]), "content": found[2]}


def _read(found: re.Match[str], _: Surroundings) -> Call:
    return "read_file", {"file_path": _absolute(found[1])}


def _remember(found: re.Match[str], surroundings: Surroundings) -> Call:
    lines = [surroundings.memory, f"- {found[1]}"] if surroundings.memory else [f"- {found[1]}"]
    return "write_file", {"file_path": MEMORY, "content": "\n".join(lines)}


def _skill(found: re.Match[str], surroundings: Surroundings) -> Call:
    paths = re.findall(r"/[^\n`]*?/SKILL\.md", surroundings.prompt)
    path = next((path for path in paths if path.split("/")[-2].lower() == found[1].lower()), None)
    if path is None:
        raise _Misunderstood(f"I have no skill {found[1]}.")
    return "read_file", {"file_path": path}


def _ask(found: re.Match[str], _: Surroundings) -> Call:
    return "task", {"description": found[2], "subagent_type": found[1]}


def _tool(found: re.Match[str], _: Surroundings) -> Call:
    try:
        args = json.loads(found[2] or "{}")
    except json.JSONDecodeError:
        args = None
    if not isinstance(args, dict):
        raise _Misunderstood(f"The arguments of {found[1]} must be a JSON object.")
    return found[1], args


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


_INSTRUCTIONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Surroundings], Call]], ...] = (
    (_pattern(r"write (\S+):\s*(.*)"), _write),
    (_pattern(r"read (\S+)"), _read),
    (_pattern(r"remember:?\s+(.+[^?])"), _remember),
    (_pattern(r"(?:use )?skill (.+)"), _skill),
    (_pattern(r"ask ([\w -]+?):\s*(.+)"), _ask),
    (_pattern(r"call ([\w.-]+)\s*(\{.*\})?"), _tool),
)
