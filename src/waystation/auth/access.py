"""Access: who asks and which rows they may see.

Every storage function that touches a user's resource takes an `Access`; it turns into SQL, so that no route can forget it.
Three things limit what is seen: the workspace that an API key belongs to, whose key it is (`waystation.auth.private_rows`), and
the filters that a project's authorization handlers answer. On a server with such handlers a statement about a resource whose handler was not asked is an error.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Delete, FromClause, Select, Text, Update, and_, bindparam, or_

from waystation.auth import filters
from waystation.auth.filters import Filter
from waystation.auth.private_rows import PrivateRows
from waystation.errors import HandlerFailed
from waystation.storage import sealing
from waystation.storage.containment import unindexed

__all__ = ["DEFAULT_WORKSPACE", "EVERYTHING", "Access", "Limits", "Resource", "Shared"]

S = TypeVar("S", Select[Any], Update, Delete)

Resource = Literal["threads", "assistants", "crons", "store"]

Shared = Literal["hidden", "filtered", "visible"]
"""What holds for a row of no workspace, which the server made for all: only an access without a workspace sees it; every
workspace does, if it passes the filter; everyone does."""

DEFAULT_WORKSPACE = "default"
"""Where everything belongs that was made without an API key."""

_RESOURCES: Mapping[str, Resource] = {
    "threads": "threads",
    "assistants": "assistants",
    "deep_agents": "assistants",
    "crons": "crons",
    "store_items": "store",
}
"""What the rows of a table are."""

WITHIN_NAMESPACE = frozenset({"store_items"})
"""Tables whose workspace is part of a key (`waystation.store.namespaces`) and not a column."""


OWNER = "ls_user_id"
"""The member of the metadata of an agent's thread that says whose it is."""

PRIVATE = frozenset({"threads", "assistants", "crons"})
"""Tables some of whose rows only some users of a workspace see."""


class Access(Struct, frozen=True):
    """A caller's identity and the rows it may see."""

    user_id: str | None = None
    permissions: tuple[str, ...] = ()
    workspace: str | None = None
    """None: all of them."""
    asked: tuple[tuple[Resource, Filter | None], ...] | None = None
    """The resources whose handlers have let the request through, with the filters they answered. None on a server without
    handlers."""

    member: str | None = None
    """The caller's id among the users of Managed Deep Agents. None where callers are not known by API keys: then these have no
    private rows for the Agent Server's API."""
    only_own: bool = False
    """Whether of threads only those of agents are in question that belong to `member`."""

    @property
    def home(self) -> str:
        """The workspace of what this caller makes."""
        return DEFAULT_WORKSPACE if self.workspace is None else self.workspace

    def narrowed(self, resource: Resource, found: Filter | None) -> Access:
        """This access after another handler has been asked about `resource`: its filter counts beside earlier ones."""
        return self._with_answer(resource, filters.both(dict(self.asked or ()).get(resource), found))

    def owning(self, member: str) -> Access:
        """This access to the threads of agents that belong to `member`, and to no others."""
        return replace(self, workspace=self.home, member=member, only_own=True)

    def unfiltered(self, resource: Resource) -> Access:
        """This access without what its handlers have answered about `resource`, where an answer has no effect."""
        return self if self.asked is None else self._with_answer(resource, None)

    def _with_answer(self, resource: Resource, found: Filter | None) -> Access:
        known = {**dict(self.asked or ()), resource: found}
        return replace(self, asked=tuple(sorted(known.items(), key=lambda each: each[0])))

    def required(self, resource: Resource) -> dict[str, Any]:
        """Metadata that every row of `resource` contains which this caller may see, as far as that is simply said."""
        if self.only_own and resource == "threads":
            return {**filters.required(dict(self.asked or ()).get(resource)), OWNER: self.member}
        return filters.required(dict(self.asked or ()).get(resource))

    def limit(self, statement: S, metadata: ColumnElement[Any], shared: Shared = "hidden") -> S:
        """`statement` restricted to the rows whose `metadata` column this caller may see."""
        limits = self.limits(metadata, shared)
        if limits is None:
            return statement
        return statement.where(limits.condition(lambda text: bindparam(None, text, type_=Text, unique=True)))

    def limits(self, metadata: ColumnElement[Any], shared: Shared = "hidden") -> Limits | None:
        """What `limit` adds to statements about the table of the column `metadata`; None for nothing."""
        if self.workspace is None and self.asked is None and self.member is None:
            return None
        table = metadata.table
        name = getattr(getattr(table, "element", table), "name", None)
        resource = _RESOURCES.get(str(name))
        if resource is None or (self.asked is not None and resource not in dict(self.asked)):
            raise RuntimeError(f"Nobody was asked whether the caller may see {name}; the route has to.")
        workspace = None if name in WITHIN_NAMESPACE else self.workspace
        found = dict(self.asked or ()).get(resource)
        private = None
        if self.member is not None and name in PRIVATE:
            private = PrivateRows(str(name), self.member, self.only_own)
        if workspace is None and found is None and private is None:
            return None
        if found is not None:
            _require_in_the_clear(metadata, found)
        return Limits(table, metadata, workspace, found, shared if "workspace" in table.c else "hidden", private)


class Limits(Struct, frozen=True):
    """The part of an `Access` that concerns one table."""

    table: FromClause
    metadata: ColumnElement[Any]
    workspace: str | None
    filter: Filter | None
    shared: Shared
    private: PrivateRows | None = None

    @property
    def shape(self) -> Hashable:
        """Limits of one shape make the same condition, with other parameters."""
        found = None if self.filter is None else filters.shape(self.filter)
        private = None if self.private is None else self.private.shape
        return self.table.description, self.workspace is None, found, self.shared, private

    def parameters(self) -> Iterator[str]:
        """The texts that `condition` binds, in its order."""
        if self.workspace is not None:
            yield self.workspace
        if self.private is not None:
            yield from self.private.parameters()
        if self.filter is not None:
            yield from filters.parameters(self.filter)

    def condition(self, bind: filters.Bind) -> ColumnElement[bool]:
        """The condition, with parameters made by `bind`."""
        parts: list[ColumnElement[bool]] = []
        if self.workspace is not None:
            # A statement starts better from what else it asks for; one that does not says so itself.
            own: ColumnElement[bool] = unindexed(self.table.c.workspace) == bind(self.workspace)
            parts.append(own if self.shared == "hidden" else or_(own, self.table.c.workspace.is_(None)))
        if self.private is not None:
            parts.append(self.private.condition(self.table, bind))
        if self.filter is not None:
            parts.append(filters.condition(self.filter, self.metadata, bind))
        if self.shared == "visible":
            return or_(and_(*parts), self.table.c.workspace.is_(None))
        return and_(*parts)


def _require_in_the_clear(metadata: ColumnElement[Any], found: Filter) -> None:
    """Raise HandlerFailed for a filter on encrypted keys, through which nobody would ever see anything. What a project's own
    encryption handlers do is not asked for: they are too slow for it."""
    seals = sealing.active()
    if seals is None or seals.waits:
        return
    if hidden := sealing.hidden_keys(metadata, filters.named(found)):
        raise HandlerFailed(
            f"An authorization handler filters by {', '.join(hidden)}, which LANGGRAPH_AES_JSON_KEYS encrypts."
        )


EVERYTHING = Access()
"""The access of the server itself and of everyone on a server without authentication."""
