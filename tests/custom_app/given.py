"""The custom app of the server under test: ``tests.custom_app.given:app``. Each test puts its own here."""

from __future__ import annotations

from typing import Any

from waystation.config import HttpConfig

__all__ = ["app", "configured"]

app: Any = None


def configured(given: Any, **settings: Any) -> HttpConfig:
    """The ``http`` section of a project that has `given`."""
    global app
    app = given
    return HttpConfig(app="tests.custom_app.given:app", **settings)
