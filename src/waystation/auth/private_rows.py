"""Rows of Managed Deep Agents that only some users of a workspace see, whichever of the two APIs they ask.

A thread of an agent is its owner's alone (MDA 9). An assistant that is an agent is seen by those who may read the agent (MDA 5). A
cron is not seen by who sees its thread or its assistant not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from msgspec import Struct
from sqlalchemy import ColumnElement, FromClause, and_, exists, not_, or_

from waystation.auth.filters import Bind
from waystation.reserved import MANAGED_GRAPH
from waystation.storage.containment import unindexed
from waystation.storage.tables import assistants, deep_agent_shares, deep_agents, threads

__all__ = ["PrivateRows"]

_a = deep_agents.c
_s = deep_agent_shares.c
_t = threads.c

_BOUND = {"threads": 1, "assistants": 2, "crons": 3}
"""How many texts `PrivateRows.condition` binds for a table: each is the member's id."""


class PrivateRows(Struct, frozen=True):
    """Which rows a member sees of a table that has such rows."""

    of: str
    """The name of the table: ``threads``, ``assistants`` or ``crons``."""
    member: str
    own: bool
    """Of threads: only the member's own, and none that are no agent's."""

    @property
    def shape(self) -> Hashable:
        """Those of one shape make the same condition, with other parameters."""
        return self.of, self.own

    def parameters(self) -> Iterator[str]:
        """The texts that `condition` binds, in its order."""
        return iter([self.member] * _BOUND[self.of])

    def condition(self, table: FromClause, bind: Bind) -> ColumnElement[bool]:
        """The condition on rows of `table`, which may be an alias."""
        if self.of == "threads":
            mine: ColumnElement[bool] = unindexed(table.c.owner_id) == bind(self.member)
            return mine if self.own else or_(table.c.owner_id.is_(None), mine)
        if self.of == "assistants":
            return or_(table.c.graph_id != MANAGED_GRAPH, self._may_read(table.c.assistant_id, bind))
        of_others = exists().where(_t.thread_id == table.c.thread_id, _t.owner_id != bind(self.member))
        is_agent = exists().where(
            assistants.c.assistant_id == table.c.assistant_id, assistants.c.graph_id == MANAGED_GRAPH
        )
        return and_(not_(of_others), or_(not_(is_agent), self._may_read(table.c.assistant_id, bind)))

    def _may_read(self, agent_id: ColumnElement[str], bind: Bind) -> ColumnElement[bool]:
        owns = _a.owner_id == bind(self.member)
        shared = exists().where(_s.agent_id == _a.agent_id, _s.user_id == bind(self.member)).correlate(deep_agents)
        return exists().where(_a.agent_id == agent_id, or_(owns, _a.visibility == "tenant", shared))
