"""Lists of an agent's threads, page by page (MDA 9.3)."""

from __future__ import annotations

from typing import Any, cast, get_args
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Row, literal, select, tuple_
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.deepagents.errors import InvalidQuery
from waystation.deepagents.identity import Principal
from waystation.deepagents.paging import choice, cursor_at, flag, page_size, place_of
from waystation.deepagents.threads.wire import SUMMARY
from waystation.storage.containment import unindexed
from waystation.storage.tables import ATTENTION, PINNED, threads
from waystation.threads.models import ThreadStatus

__all__ = ["LARGEST_PAGE", "ThreadPage", "agent_id_of", "page_of", "threads_page"]

LARGEST_PAGE = 20

_t = threads.c


class ThreadPage(Struct, frozen=True):
    """What is asked for."""

    agent_id: str
    size: int
    status: ThreadStatus | None = None
    is_pinned: bool | None = None
    test_run: bool = False
    """Threads of test runs, and no others; or none of them."""
    requires_attention: bool = False
    after: tuple[int, str] | None = None
    """The last activity and the id of the last thread of the page before."""

    def cursor(self, row: Row[Any]) -> str:
        """Where the next page begins, after `row`."""
        return cursor_at(self._asked, row.state_updated_at, row.thread_id)

    def at(self, cursor: str) -> ThreadPage:
        """This page after `cursor`. Raises InvalidQuery."""
        return replace(self, after=place_of(cursor, self._asked, int))

    @property
    def _asked(self) -> list[Any]:
        return [self.agent_id, self.status, self.is_pinned, self.test_run, self.requires_attention]


def page_of(request: Request) -> ThreadPage:
    """The page that the query asks for. ``requires_attention=false`` is no filter. Raises InvalidQuery."""
    agent_id = agent_id_of(request)
    if agent_id is None:
        raise InvalidQuery("set agent_id to the id of the agent whose threads you want: agent_id is required")
    status: ThreadStatus | None = None
    if "status" in request.query_params:
        status = cast(ThreadStatus, choice(request, "status", get_args(ThreadStatus), ""))
    attention = flag(request, "requires_attention") or False
    if attention and status is not None:
        raise InvalidQuery("leave one of status and requires_attention out: they cannot be combined")
    page = ThreadPage(
        agent_id,
        page_size(request, LARGEST_PAGE),
        status,
        flag(request, "is_pinned"),
        flag(request, "test_run") or False,
        attention,
    )
    cursor = request.query_params.get("cursor")
    return page.at(cursor) if cursor else page


def agent_id_of(request: Request) -> str | None:
    """The agent that the query names. Raises InvalidQuery for what is not an id."""
    text = request.query_params.get("agent_id", "")
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        raise InvalidQuery(f"set agent_id to a UUID: it is {text[:40]!r}") from None


def threads_page(conn: Connection, page: ThreadPage, principal: Principal, access: Access) -> list[Row[Any]]:
    """At most ``page.size + 1`` threads, those with the newest activity first. The agent may be gone."""
    statement = select(*SUMMARY).where(
        _t.workspace == principal.workspace,
        _t.owner_id == principal.user_id,
        _t.agent_id == page.agent_id,
    )
    if page.is_pinned or page.requires_attention:  # the indexes of these are without it
        statement = statement.where(unindexed(_t.is_test_run) == page.test_run)
    else:
        statement = statement.where(_t.is_test_run == page.test_run)
    if page.requires_attention:
        statement = statement.where(ATTENTION)
    if page.status is not None:
        statement = statement.where(_t.status == page.status)
    if page.is_pinned is not None:
        statement = statement.where(PINNED if page.is_pinned else _t.is_pinned.is_(False))
    if page.after is not None:
        place = tuple_(literal(page.after[0]), literal(page.after[1]))
        statement = statement.where(tuple_(_t.state_updated_at, _t.thread_id) < place)
    statement = statement.order_by(_t.state_updated_at.desc(), _t.thread_id.desc()).limit(page.size + 1)
    return list(conn.execute(access.limit(statement, _t.metadata)))
