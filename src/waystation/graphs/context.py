"""A run's context against the context schema of its graph (spec 5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

__all__ = ["coerce", "context_keys", "known_only"]


def context_keys(schema: Any) -> frozenset[str] | None:
    """The keys that the context type `schema` knows; None when it lists none or takes others as well."""
    if schema is None:
        return None
    if is_typeddict(schema):
        keys = schema.__required_keys__ | schema.__optional_keys__
    elif isinstance(schema, type) and issubclass(schema, BaseModel):
        if schema.model_config.get("extra") == "allow":
            return None
        keys = frozenset(_model_keys(schema))
    elif is_dataclass(schema):
        keys = frozenset(field.name for field in fields(schema) if field.init)
    else:
        return None
    return keys or None


def known_only(context: Mapping[str, Any], keys: frozenset[str] | None) -> dict[str, Any]:
    """`context` without what is not in `keys`; all of it when `keys` is None."""
    if keys is None or context.keys() <= keys:
        return dict(context)
    return {key: value for key, value in context.items() if key in keys}


def coerce(schema: Any, context: Any) -> Any:
    """A JSON `context` as an instance of `schema`, if that is a dataclass or a Pydantic model.

    Raises what the constructor raises: TypeError or ValidationError.
    """
    if not isinstance(context, Mapping) or not isinstance(schema, type):
        return context
    known = known_only(context, context_keys(schema))
    return schema(**known) if issubclass(schema, BaseModel) or is_dataclass(schema) else known


def _model_keys(model: type[BaseModel]) -> Iterator[str]:
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    for name, field in model.model_fields.items():
        aliases = list(_aliases(field))
        yield from aliases
        if by_name or not aliases:
            yield name


def _aliases(field: FieldInfo) -> Iterator[str]:
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
        if isinstance(choice, AliasPath):
            yield str(choice.path[0])
        elif choice is not None:
            yield choice
