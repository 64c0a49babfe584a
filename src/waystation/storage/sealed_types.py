"""Types of columns that are sealed when they are written and opened when they are read (`waystation.storage.sealing`).

That a column holds what users have said is part of the table's definition, so that no statement can forget it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ColumnElement, LargeBinary, Text, cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from waystation.errors import SealBroken
from waystation.storage import sealing
from waystation.storage.sealing import Field, Unreadable

__all__ = ["Sealed", "SealedBlob", "SealedJson", "SealedText", "as_text"]

if TYPE_CHECKING:
    _Decorator = TypeDecorator[Any]
else:
    _Decorator = TypeDecorator


class Sealed(_Decorator):
    """What the types have in common."""

    impl = Text
    cache_ok = True

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field

    def sealed(self, value: Any) -> Any:
        """What to store for `value`."""
        return value

    def opened(self, stored: Any) -> Any:
        """The value that `stored` stands for."""
        return stored

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return self.sealed(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return self.opened(value)


class SealedJson(Sealed):
    """`waystation.storage.tables.Json`. A value that cannot be opened is read as `Unreadable`."""

    impl = JSON  # type: ignore[assignment]
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def sealed(self, value: Any) -> Any:
        seals = sealing.active()
        if seals is None or value is None:
            return value
        return value.stored if isinstance(value, Unreadable) else seals.seal_json(self.field, value)

    def opened(self, stored: Any) -> Any:
        seals = sealing.active()
        return stored if seals is None or stored is None else seals.open_json(self.field, stored)


class SealedText(Sealed):
    """For reading a `SealedJson` as JSON text; `Unreadable` if it cannot be opened."""

    cache_ok = True

    def opened(self, stored: Any) -> Any:
        seals = sealing.active()
        return stored if seals is None or stored is None else seals.open_text(self.field, stored)


class SealedBlob(Sealed):
    """Bytes. With `deferred` those that cannot be opened are read as `Unreadable`; else that raises SealBroken."""

    impl = LargeBinary  # type: ignore[assignment]
    cache_ok = True

    def __init__(self, field: Field, *, deferred: bool = False) -> None:
        super().__init__(field)
        self.deferred = deferred

    def sealed(self, value: Any) -> Any:
        seals = sealing.active()
        return value if seals is None or value is None else seals.seal_blobs(self.field, [value])[0]

    def opened(self, stored: Any) -> Any:
        if stored is None:
            return None
        try:
            return sealing.open_blobs(self.field, [stored])[0]
        except SealBroken as error:
            if self.deferred:
                return Unreadable(stored, error)
            raise


def as_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A `SealedJson` column, selected as JSON text."""
    assert isinstance(column.type, SealedJson)
    return cast(column, SealedText(column.type.field))
