"""Lists of agents, page by page (MDA 4.1)."""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, exists, literal, or_, select, tuple_
from starlette.requests import Request

from waystation.auth.access import Access
from waystation.deepagents.identity import Principal
from waystation.deepagents.paging import choice, cursor_at, page_size, place_of
from waystation.storage.tables import deep_agent_shares, deep_agents

__all__ = ["LARGEST_PAGE", "Page", "agents_page", "page_of"]

SortBy = Literal["created_at", "updated_at", "name"]
SortOrder = Literal["asc", "desc"]
Audience = Literal["user", "tenant"]

LARGEST_PAGE = 100

_a = deep_agents.c
_s = deep_agent_shares.c


class Page(Struct, frozen=True):
    """What is asked for."""

    sort_by: str
    sort_order: str
    audience: str
    """``user``: the caller's own; ``tenant``: all that the caller may see."""
    name: str
    size: int
    after: tuple[Any, str] | None = None
    """The sort key and the id of the last agent of the page before."""

    @property
    def key(self) -> str:
        """The name of the column to sort by."""
        return "folded_name" if self.sort_by == "name" else self.sort_by

    def cursor(self, row: dict[str, Any]) -> str:
        """Where the next page begins, after `row`."""
        return cursor_at(self._asked, row[self.key], row["agent_id"])

    def at(self, cursor: str) -> Page:
        """This page after `cursor`. Raises InvalidQuery."""
        return replace(self, after=place_of(cursor, self._asked, str if self.sort_by == "name" else int))

    @property
    def _asked(self) -> list[str]:
        return [self.sort_by, self.sort_order, self.audience, self.name]


def page_of(request: Request) -> Page:
    """The page that the query asks for. Unknown parameters are ignored (MDA 16). Raises InvalidQuery."""
    page = Page(
        choice(request, "sort_by", get_args(SortBy), "updated_at"),
        choice(request, "sort_order", get_args(SortOrder), "desc"),
        choice(request, "audience", get_args(Audience), "user"),
        request.query_params.get("name", "").casefold(),
        page_size(request, LARGEST_PAGE),
    )
    cursor = request.query_params.get("cursor")
    return page.at(cursor) if cursor else page


def agents_page(conn: Connection, page: Page, principal: Principal, access: Access) -> list[dict[str, Any]]:
    """At most ``page.size + 1`` rows."""
    statement = select(deep_agents).where(_a.workspace == principal.workspace)
    mine = _a.owner_id == principal.user_id
    if page.audience == "user":
        statement = statement.where(mine)
    else:
        shared = exists().where(_s.agent_id == _a.agent_id, _s.user_id == principal.user_id)
        statement = statement.where(or_(mine, _a.visibility == "tenant", shared))
    if page.name:
        statement = statement.where(_a.folded_name.contains(page.name, autoescape=True))
    keys = tuple_(_a[page.key], _a.agent_id)
    if page.after is not None:
        place = tuple_(literal(page.after[0]), literal(page.after[1]))
        statement = statement.where(keys > place if page.sort_order == "asc" else keys < place)
    ordered = [key.asc() if page.sort_order == "asc" else key.desc() for key in (_a[page.key], _a.agent_id)]
    statement = access.limit(statement.order_by(*ordered).limit(page.size + 1), _a.metadata)
    return [row._asdict() for row in conn.execute(statement)]
