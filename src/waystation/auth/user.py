"""The user whom a project's ``authenticate`` handler has recognised (spec 18.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from waystation.encoding import to_plain

__all__ = ["AUTH_PERMISSIONS", "AUTH_USER", "AUTH_USER_ID", "User", "configurable_of", "user_of", "with_user"]

AUTH_USER = "langgraph_auth_user"
"""Where graphs find the user in ``configurable`` (spec 18.5)."""

AUTH_USER_ID = f"{AUTH_USER}_id"

AUTH_PERMISSIONS = "langgraph_auth_permissions"


class User(dict[str, Any]):
    """A user as a dict that also has its entries as attributes: what handlers and graphs see.

    ``identity`` is always there. What a handler returned as an object keeps that object's other attributes and methods.
    """

    def __init__(self, fields: Mapping[str, Any], original: Any = None) -> None:
        super().__init__(fields)
        self.__dict__["_original"] = original

    @property
    def identity(self) -> str:
        """Who it is."""
        return str(self["identity"])

    @property
    def display_name(self) -> str:
        """What to call the user: the identity, if nothing else is known."""
        return str(self.get("display_name") or self["identity"])

    @property
    def is_authenticated(self) -> bool:
        """True, unless the handler says otherwise."""
        return bool(self.get("is_authenticated", True))

    @property
    def permissions(self) -> Sequence[str]:
        """What the user may do, in the project's own words."""
        return list(self.get("permissions") or ())

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        original = self.__dict__.get("_original")
        if original is not None and not name.startswith("_"):
            return getattr(original, name)
        raise AttributeError(f"The user has no {name!r}.")


def configurable_of(user: User | None) -> dict[str, Any]:
    """What graphs get to know of the user; plain JSON, for it is stored with a run."""
    if user is None:
        return {}
    return {
        AUTH_USER: to_plain(dict(user)),
        AUTH_USER_ID: user.identity,
        AUTH_PERMISSIONS: list(user.permissions),
    }


def with_user(configurable: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored `configurable` with its user as a `User`."""
    found = configurable.get(AUTH_USER)
    if not isinstance(found, Mapping) or isinstance(found, User) or "identity" not in found:
        return configurable
    return {**configurable, AUTH_USER: User(found)}


def user_of(answer: Any) -> tuple[User, list[str]]:
    """The user and the permissions that an ``authenticate`` handler's answer means: an identity, a dict or object with one, or
    ``(permissions, user)``. Raises ValueError for anything else."""
    permissions: Any = None
    if isinstance(answer, tuple) and len(answer) == 2:
        permissions, answer = answer
    user = _user(answer)
    given = (user.get("permissions") or ()) if permissions is None else permissions
    if isinstance(given, str) or not all(isinstance(each, str) for each in given):
        raise ValueError("the permissions are not a list of strings")
    listed = list(given)
    user.update(permissions=listed, is_authenticated=user.is_authenticated, display_name=user.display_name)
    return user, listed


def _user(answer: Any) -> User:
    if isinstance(answer, str):
        user = User({"identity": answer})
    elif isinstance(answer, Mapping):
        user = User(answer)
    elif hasattr(answer, "identity"):
        user = User(_fields(answer), answer)
    else:
        raise ValueError(f"a {type(answer).__name__} is not a user; return an identity, or a dict or object with one")
    if not isinstance(user.get("identity"), str):
        raise ValueError("the user's identity is not a string")
    return user


def _fields(answer: Any) -> dict[str, Any]:
    """What an object says of the user: its data, and the properties that every user has."""
    known = {
        name: getattr(answer, name)
        for name in ("identity", "display_name", "is_authenticated", "permissions")
        if getattr(answer, name, None) is not None
    }
    if callable(dump := getattr(answer, "model_dump", None)):
        return {**dump(), **known}
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {**dataclasses.asdict(answer), **known}
    public = {name: value for name, value in getattr(answer, "__dict__", {}).items() if not name.startswith("_")}
    return {**public, **known}
