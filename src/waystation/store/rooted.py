"""Operations and results of a store as seen from below a namespace that nobody names: the workspace."""

from __future__ import annotations

from typing import Any

from langgraph.store.base import Item, ListNamespacesOp, MatchCondition, Op, Result, SearchItem, SearchOp

__all__ = ["inner", "outer"]

Root = tuple[str, ...]


def inner(op: Op, root: Root) -> Op:
    """`op`, whose namespaces are below `root`, as the whole store is to be asked."""
    if not root:
        return op
    if isinstance(op, SearchOp):
        return op._replace(namespace_prefix=(*root, *op.namespace_prefix))
    if isinstance(op, ListNamespacesOp):
        conditions = tuple(_condition(condition, root) for condition in op.match_conditions or ())
        depth = None if op.max_depth is None else op.max_depth + len(root)
        return op._replace(match_conditions=(MatchCondition("prefix", root), *conditions), max_depth=depth)
    return op._replace(namespace=(*root, *op.namespace))


def outer(result: Result, root: Root) -> Result:
    """`result` of the whole store as it is seen from below `root`."""
    if not root or result is None:
        return result
    if isinstance(result, Item):
        return _item(result, root)
    parts: list[Any] = [_item(each, root) if isinstance(each, Item) else each[len(root) :] for each in result]
    return parts


def _condition(condition: MatchCondition, root: Root) -> MatchCondition:
    if condition.match_type == "prefix":
        return MatchCondition("prefix", (*root, *condition.path))
    return condition


def _item(item: Item, root: Root) -> Item:
    seen: dict[str, Any] = {
        "namespace": item.namespace[len(root) :],
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
    return SearchItem(**seen, score=item.score) if isinstance(item, SearchItem) else Item(**seen)
