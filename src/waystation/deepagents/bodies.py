"""Bodies of this API's requests, and which mistake in one is which error (MDA 3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, NoReturn, TypeVar

from pydantic import AfterValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from waystation.deepagents.errors import InvalidBody, InvalidField, MissingField
from waystation.encoding import decode
from waystation.http.bodies import Body, read_bytes

__all__ = ["Filled", "filled", "read_agent_body", "rule"]

B = TypeVar("B", bound=Body)

RULE = "rule"
BLANK = "blank"


def rule(message: str) -> PydanticCustomError:
    """The error of a value that has the right form and breaks a rule: 422 rather than 400."""
    return PydanticCustomError(RULE, "{message}", {"message": message})


def filled(text: str) -> str:
    """The validator of `Filled`."""
    if not text.strip():
        raise PydanticCustomError(BLANK, "is required")
    return text


Filled = Annotated[str, AfterValidator(filled)]
"""Not blank; a blank one counts as absent."""


async def read_agent_body(
    request: Request, model: type[B], *, required: bool = True, nullable: Collection[str] = ()
) -> B:
    """The JSON body as a `model`; members that are null count as absent but for the `nullable` ones. Raises InvalidBody,
    MissingField, InvalidField, TooLarge."""
    data = await read_bytes(request)
    try:
        found = decode(data) if data.strip() or required else {}
    except ValueError:
        raise InvalidBody("send a JSON object: the body is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidBody("send a JSON object: the body is something else")
    given = {key: value for key, value in found.items() if value is not None or key in nullable}
    try:
        body = model.model_validate(given)
    except ValidationError as error:
        _refuse(error)
    request.app.state.server.unknown_fields.tell(body)
    return body


def _refuse(error: ValidationError) -> NoReturn:
    """Raise MissingField, InvalidBody or, if only rules are broken, InvalidField."""
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        if item["type"] in ("missing", BLANK):
            raise MissingField(_path(item["loc"]))
    for item in items:
        if item["type"] not in (RULE, "literal_error"):
            raise InvalidBody(f"send a JSON object of the documented form: {_path(item['loc'])}: {item['msg']}")
    first = items[0]
    raise InvalidField(f"correct {_path(first['loc'])!r}: {first['msg'][:1].lower()}{first['msg'][1:]}")


def _path(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "body"
