"""The files an agent sees: those of its definition, its own in the thread's state, and its memory in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepagents.backends import CompositeBackend, StateBackend, StoreBackend
from deepagents.backends.protocol import DeleteResult, EditResult, FileUploadResponse, WriteResult
from deepagents.backends.utils import create_file_data
from langgraph.config import get_config

from waystation.deepagents.compile import memory
from waystation.deepagents.compile.definition import AgentDefinition

__all__ = ["agent_files"]

READ_ONLY_DIRECTORIES = ("/skills", "/subagents")
"""Nothing can be added to these: an agent that wrote itself a skill would follow it in later runs, unseen."""

READ_ONLY = "permission_denied"
"""The library's code for a file that cannot be uploaded."""

EPOCH = "1970-01-01T00:00:00+00:00"
"""The date of files of the definition, which have none."""


def agent_files(definition: AgentDefinition) -> CompositeBackend:
    """The file system of the agent; its memory is in the store that the graph runs with, in the namespace of the run."""
    return CompositeBackend(
        default=ThreadFiles(definition.files),
        routes={memory.DIRECTORY: StoreBackend(namespace=lambda _: get_config()["configurable"][memory.NAMESPACE])},
    )


class ThreadFiles(StateBackend):
    """The files of the thread, among them those of the definition, which cannot be changed."""

    def __init__(self, definition: Mapping[str, str]) -> None:
        super().__init__()
        self._definition = {
            f"/{path}": dict(create_file_data(text, created_at=EPOCH)) | {"modified_at": EPOCH}
            for path, text in definition.items()
        }

    def _read_files(self) -> dict[str, Any]:
        # What all reading methods of StateBackend start from. A file of the definition hides one of the same name that the
        # thread had before.
        return {**super()._read_files(), **self._definition}

    def write(self, file_path: str, content: str) -> WriteResult:
        if self._is_read_only(file_path):
            return WriteResult(error=_refusal(file_path))
        return super().write(file_path, content)

    def edit(self, file_path: str, old_string: str, new_string: str, replace_all: bool = False) -> EditResult:
        if self._is_read_only(file_path):
            return EditResult(error=_refusal(file_path))
        return super().edit(file_path, old_string, new_string, replace_all)

    def delete(self, file_path: str) -> DeleteResult:
        directory = file_path.rstrip("/") + "/"
        if self._is_read_only(file_path) or any(path.startswith(directory) for path in self._definition):
            return DeleteResult(error=_refusal(file_path))
        return super().delete(file_path)

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        if any(self._is_read_only(path) for path, _ in files):
            return [FileUploadResponse(path=path, error=READ_ONLY) for path, _ in files]
        return super().upload_files(files)

    def _is_read_only(self, path: str) -> bool:
        return path in self._definition or f"{path}/".startswith(tuple(f"{each}/" for each in READ_ONLY_DIRECTORIES))


def _refusal(path: str) -> str:
    return f"Error: {path} belongs to the definition of this agent and cannot be changed. Write to another path."
