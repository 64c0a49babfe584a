"""From the name of a model to a chat model, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from waystation.deepagents.model_names import TRY_DEMO, fault_of
from waystation.deepagents.models.keys import KEYS
from waystation.errors import WaystationError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["ModelUnavailable", "Models", "StandIns", "chat_model"]

log = structlog.get_logger("waystation.deepagents")

DEMO = "demo"
"""The provider that needs no key and no network."""


class ModelUnavailable(WaystationError):
    """The model of the agent cannot be used."""


class Models:
    """The models that agents of this server can name."""

    def __init__(
        self, default: str | None = None, configurations: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """`default` is for agents that name none. `configurations` are what stands for a name without a colon:
        ``{"model": "provider:name", ...}`` with arguments of `init_chat_model`."""
        self._default = default
        self._configurations = configurations or {}

    def chat_model(self, name: str | None) -> BaseChatModel:
        """The model `name`, or the default one. Raises ModelUnavailable."""
        name = name or self._default
        if not name:
            raise ModelUnavailable(
                "The agent names no model, and the server has no default: set runtime.model.model_id of the agent, or "
                f"WAYSTATION_DEFAULT_MODEL of the server ({TRY_DEMO})."
            )
        _require_name(name, self._configurations)
        if ":" in name:
            return chat_model(name)
        configuration = self._configurations[name]
        settings = {key: value for key, value in configuration.items() if key != "model"}
        return chat_model(configuration["model"], **settings)


class StandIns(Models):
    """Any model at all, for graphs that are looked at and never run: it needs no key."""

    def chat_model(self, name: str | None) -> BaseChatModel:
        return chat_model("demo:chat")


def _require_name(name: str, configurations: Collection[str]) -> None:
    fault = fault_of(name, configurations)
    if fault is not None:
        raise ModelUnavailable(f"{fault[0].upper()}{fault[1:]}.")


def chat_model(name: str, **settings: Any) -> BaseChatModel:
    """The model ``provider:model`` with `settings`, as `init_chat_model` makes it; besides its providers there is ``demo``.

    Raises ModelUnavailable that says which package, variable or argument is missing. What a provider's class says itself is
    not repeated: it may quote its arguments, keys among them.
    """
    _require_name(name, ())
    provider, _, model = name.partition(":")
    if provider == DEMO:
        from waystation.deepagents.models.demo import DEMO_MODELS

        if model not in DEMO_MODELS:
            raise ModelUnavailable(f"There is no model {name!r}; there is demo:{', demo:'.join(DEMO_MODELS)}.")
        return DEMO_MODELS[model](**settings)
    keys = KEYS.get(provider, ())
    if keys and not any(os.environ.get(key) for key in keys) and not any("api_key" in each for each in settings):
        raise ModelUnavailable(
            f"The model {name!r} needs a key: set {' or '.join(keys)} in the environment of the server ({TRY_DEMO})."
        )
    from langchain.chat_models import init_chat_model
    from langchain_core.language_models import BaseChatModel

    try:
        made = init_chat_model(model, model_provider=provider, **settings)
    except ImportError as error:
        raise ModelUnavailable(f"The model {name!r} needs a package that is not installed: {error}.") from None
    except ValidationError as error:
        # Its text would repeat the arguments, and so may the log.
        places = {str(part) for each in error.errors(include_input=False) for part in each["loc"][:1]}
        raise ModelUnavailable(
            f"The model {name!r} cannot be used: {', '.join(sorted(places)) or 'an argument'} is missing or wrong for it."
        ) from None
    except Exception as error:
        log.warning("model unavailable", model=name, exc_info=error)
        unknown = isinstance(error, ValueError) and str(error).startswith("Unsupported provider")
        reason = (
            f"init_chat_model knows no provider {provider!r}"
            if unknown
            else f"its provider refused to make it ({type(error).__name__})"
        )
        raise ModelUnavailable(f"The model {name!r} cannot be used: {reason}. The log has the details.") from None
    if not isinstance(made, BaseChatModel):
        raise ModelUnavailable(f"The model {name!r} cannot be used: it is not a chat model.")
    return made
