"""What people decide about paused tool calls, checked before it reaches the graph (deepagents-runtime.md 7.3, 7.4).

LangGraph stores the answer to an interrupt before anybody looks at it, and a wrong one then fails every later attempt to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from waystation.errors import Conflict, UnprocessableInput

__all__ = ["checked_resume"]

_FIELDS = {
    "approve": frozenset({"type"}),
    "edit": frozenset({"type", "edited_action"}),
    "reject": frozenset({"type", "message"}),
    "respond": frozenset({"type", "message"}),
}
"""The fields of each kind of decision."""


def checked_resume(resume: Any, pending: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`resume` as ``{interrupt id: answer}``, safe to be given to the graph as ``Command(resume=...)``.

    `resume` is what a client sent: ``{"decisions": [...]}`` when one interrupt is open, or such answers by interrupt id, for
    all that are open or some of them. `pending` are the open interrupts, ``{"id", "value"}``, where one may be listed twice. An
    interrupt that is not about tool calls takes any answer but null.

    Raises Conflict if nothing is open, and UnprocessableInput that says what is wrong with which decision.
    """
    interrupts = {str(each["id"]): each.get("value") for each in pending}
    if not interrupts:
        raise Conflict("command.resume: nothing on this thread waits for a decision.")
    return {
        interrupt_id: _answer(place, answer, interrupts[interrupt_id])
        for interrupt_id, place, answer in _addressed(resume, interrupts)
    }


def _addressed(resume: Any, interrupts: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """The answers in `resume`, each with the id of its interrupt and the place it was found at."""
    place = "command.resume"
    if isinstance(resume, Mapping) and resume and "decisions" not in resume:
        known = [key for key in resume if key in interrupts]
        if known:
            unknown = [key for key in resume if key not in interrupts]
            if unknown:
                raise UnprocessableInput(f"{place}: no interrupt {unknown[0]!r} is open; {_open(interrupts)}.")
            return [(key, f"{place}[{key!r}]", resume[key]) for key in known]
    if len(interrupts) > 1:
        raise UnprocessableInput(
            f'{place}: several interrupts are open, so answers go by id: {{"<id>": {{"decisions": [...]}}}}; '
            f"{_open(interrupts)}."
        )
    [only] = interrupts
    return [(only, place, resume)]


def _open(interrupts: Mapping[str, Any]) -> str:
    return f"open are {', '.join(interrupts)}"


def _answer(place: str, answer: Any, value: Any) -> Any:
    """The `answer` to the interrupt with `value`, once it is found to be a valid one."""
    if answer is None:
        raise UnprocessableInput(f"{place}: must not be null.")
    requests = value.get("action_requests") if isinstance(value, Mapping) else None
    if not isinstance(requests, Sequence) or isinstance(requests, str):
        return answer
    if not isinstance(answer, Mapping) or set(answer) != {"decisions"}:
        raise UnprocessableInput(f'{place}: must be an object {{"decisions": [...]}} and nothing else.')
    decisions = answer["decisions"]
    if not isinstance(decisions, list):
        raise UnprocessableInput(f"{place}.decisions: must be an array.")
    if len(decisions) != len(requests):
        names = ", ".join(str(request["name"]) for request in requests)
        raise UnprocessableInput(
            f"{place}.decisions: has {len(decisions)}, but {len(requests)} calls wait for one, in this order: {names}."
        )
    allowed = _allowed(value, requests)
    return {
        "decisions": [
            _decision(f"{place}.decisions[{index}]", decision, request, allowed[index])
            for index, (decision, request) in enumerate(zip(decisions, requests, strict=True))
        ]
    }


def _allowed(value: Mapping[str, Any], requests: Sequence[Any]) -> list[Sequence[str]]:
    """The kinds of decision that each request takes."""
    configs = {config["action_name"]: config["allowed_decisions"] for config in value.get("review_configs", ())}
    return [configs.get(request["name"], tuple(_FIELDS)) for request in requests]


def _decision(place: str, decision: Any, request: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    if not isinstance(decision, Mapping):
        raise UnprocessableInput(f'{place}: must be an object such as {{"type": "approve"}}.')
    given = {key: item for key, item in decision.items() if item is not None}
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in allowed or kind not in _FIELDS:
        raise UnprocessableInput(
            f"{place}.type: must be one of {', '.join(allowed)} for {request['name']}; it is {kind!r}."
        )
    unknown = sorted(given.keys() - _FIELDS[kind])
    if unknown:
        raise UnprocessableInput(f"{place}.{unknown[0]}: {kind} has no such field.")
    if kind == "edit":
        given["edited_action"] = _edited(f"{place}.edited_action", given.get("edited_action"), request)
    elif kind == "respond" and not isinstance(given.get("message"), str):
        raise UnprocessableInput(f"{place}.message: must be a string: what the tool is to have answered.")
    elif not isinstance(given.get("message", ""), str):
        raise UnprocessableInput(f"{place}.message: must be a string.")
    return given


def _edited(place: str, action: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(action, Mapping) or set(action) != {"name", "args"}:
        raise UnprocessableInput(f"{place}: must be an object with name and args.")
    if action["name"] != request["name"]:
        raise UnprocessableInput(f"{place}.name: must stay {request['name']!r}; it is {action['name']!r}.")
    if not isinstance(action["args"], dict):
        raise UnprocessableInput(f"{place}.args: must be an object: the arguments of the call.")
    return dict(action)
