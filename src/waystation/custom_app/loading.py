"""The application that ``http.app`` of ``langgraph.json`` names: what it has to be, and what is refused (spec 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from waystation.errors import ConfigError

if TYPE_CHECKING:
    from waystation.config import Config
    from waystation.graphs.failures import Culprits
    from waystation.graphs.modules import Modules

__all__ = ["CustomApp", "load_custom_app"]

TYPES = "a starlette.applications.Starlette or fastapi.FastAPI object"


class CustomApp(Struct, frozen=True):
    """An application that was loaded, and where it comes from."""

    app: Starlette
    reference: str
    culprits: Culprits

    @property
    def has_cors(self) -> bool:
        """Whether it has a CORS policy of its own."""
        kinds: list[Any] = [each.cls for each in self.app.user_middleware]
        return any(isinstance(kind, type) and issubclass(kind, CORSMiddleware) for kind in kinds)


def load_custom_app(config: Config, modules: Modules) -> CustomApp | None:
    """The project's application; None if it has none. Raises ConfigError when it cannot be served."""
    reference = config.http.app
    if reference is None:
        return None
    found = modules.part("http.app", reference)
    if not isinstance(found, Starlette):
        raise ConfigError(f"http.app: {reference} must be {TYPES}; {_what(found)}.")
    if hooks := _hooks(found):
        raise ConfigError(
            f"http.app: {reference} has {hooks} handlers, which would not run: the server has a lifespan of its own. "
            "Put what they do into a lifespan (an asynccontextmanager given as `lifespan=`): before its yield what is to happen "
            "at start-up, after it what is to happen at the end."
        )
    return CustomApp(found, reference, modules.culprits)


def _what(found: Any) -> str:
    kind = type(found).__name__
    if isinstance(found, type):
        return f"it is the class {found.__name__} and not an object of it"
    if callable(found):
        return f"it is a {kind}; if it makes the application, call it and name the variable that holds the result"
    return f"it is a {kind}"


def _hooks(app: Starlette) -> str:
    """The kinds of start-up and shutdown handlers that `app` has, for an error. Starlette 1.0 has done away with them, FastAPI
    has them still."""
    return " and ".join(name for name in ("on_startup", "on_shutdown") if getattr(app.router, name, None))
