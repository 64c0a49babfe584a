"""Wire shapes of requests about threads (MDA 9)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from waystation.deepagents.bodies import rule
from waystation.http.bodies import Body
from waystation.reserved import strip_metadata

__all__ = ["BulkUpdate", "NewThread", "ThreadCreate", "ThreadUpdate", "Uuid"]

LONGEST_TITLE = 1000

MOST_AT_ONCE = 50
"""Threads that one request may change."""

FORBIDDEN_TITLE = "\0"


def _uuid(text: str) -> str:
    return str(UUID(text))


def _title(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_TITLE or FORBIDDEN_TITLE in text:
        raise rule(f"use at most {LONGEST_TITLE} characters, and no NUL")
    return text


Uuid = Annotated[str, AfterValidator(_uuid)]


class Options(Body):
    test_run: bool | None = None
    skip_memory_write_protection: bool | None = None


class NewThread(Body):
    """A thread to be made, as a request for a run may have it as well."""

    thread_id: Uuid | None = None
    if_exists: Annotated[str, Field(pattern="^(raise|do_nothing)$")] | None = None
    metadata: dict[str, Any] | None = None
    options: Options | None = None

    @property
    def switches(self) -> Mapping[str, bool]:
        """The metadata that the options stand for."""
        options = self.options or Options()
        return {
            "is_test_run": bool(options.test_run),
            "skip_memory_write_protection": bool(options.skip_memory_write_protection),
        }

    def asked(self, thread_id: str) -> dict[str, Any]:
        """The event ``threads.create`` as the project's handlers get it."""
        return {
            "thread_id": thread_id,
            "metadata": strip_metadata(self.metadata),
            "if_exists": self.if_exists or "raise",
        }


class ThreadCreate(NewThread):
    """A new thread of an agent."""

    agent_id: Uuid


class ThreadUpdate(Body):
    """A change of a thread: what is absent stays as it is, a `title` that is null or blank goes."""

    title: Annotated[str, AfterValidator(_title)] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """What it says of the thread's columns."""
        given: Collection[str] = self.model_fields_set
        return {"title": self.title.encode() if self.title else None} if "title" in given else {}


class BulkUpdate(Body):
    """One change of many threads."""

    thread_ids: list[str] = Field(max_length=MOST_AT_ONCE)
    data: ThreadUpdate
