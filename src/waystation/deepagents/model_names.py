"""Names of models, as far as the name alone says whether it can be one (MDA 6.1). Imports nothing of models themselves."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["TRY_DEMO", "fault_of"]

TRY_DEMO = "demo:chat needs no key"


def fault_of(name: str, configurations: Collection[str]) -> str | None:
    """What is wrong with a name that is neither of the form ``provider:model`` nor one of the server's `configurations`. Whether there
    is such a model, and a key for it, turns out when it is used."""
    provider, colon, model = name.partition(":")
    if not colon:
        if name in configurations:
            return None
        known = f"known are {', '.join(sorted(configurations))}" if configurations else "there are none"
        return (
            f"the server has no model configuration {name!r} (WAYSTATION_MODELS); {known}. A model itself is named as "
            f"provider:model, such as openai:gpt-5-mini ({TRY_DEMO})"
        )
    if not provider or not model:
        return f"the model {name!r} must be named as provider:model, such as openai:gpt-5-mini"
    return None
