"""Decisions are checked before the graph sees them."""

from __future__ import annotations

from typing import Any

import pytest

from waystation.deepagents.decisions import checked_resume
from waystation.errors import Conflict, UnprocessableInput

ALL = ["approve", "edit", "reject", "respond"]


def pause(interrupt_id: str, *names: str, allowed: list[str] = ALL) -> dict[str, Any]:
    return {
        "id": interrupt_id,
        "value": {
            "action_requests": [{"name": name, "args": {}} for name in names],
            "review_configs": [{"action_name": name, "allowed_decisions": allowed} for name in names],
        },
    }


def decided(*decisions: Any) -> dict[str, Any]:
    return {"decisions": list(decisions)}


APPROVE = {"type": "approve"}
EDIT = {"type": "edit", "edited_action": {"name": "send", "args": {"to": "eve"}}}


@pytest.mark.parametrize(
    "decision",
    [APPROVE, EDIT, {"type": "reject"}, {"type": "reject", "message": "no"}, {"type": "respond", "message": ""}],
)
def test_a_valid_decision_passes_unchanged(decision: dict[str, Any]) -> None:
    assert checked_resume(decided(decision), [pause("a", "send")]) == {"a": decided(decision)}


def test_fields_that_are_null_are_left_out() -> None:
    given = {"type": "approve", "message": None, "edited_action": None}
    assert checked_resume(decided(given), [pause("a", "send")]) == {"a": decided(APPROVE)}


def test_an_interrupt_that_is_listed_twice_is_one() -> None:
    assert checked_resume(decided(APPROVE), [pause("a", "send"), pause("a", "send")]) == {"a": decided(APPROVE)}


def test_several_interrupts_are_answered_by_id_all_or_some() -> None:
    pending = [pause("a", "send"), pause("b", "send", "purge")]
    assert checked_resume({"a": decided(APPROVE)}, pending) == {"a": decided(APPROVE)}
    both = {"a": decided(APPROVE), "b": decided(APPROVE, {"type": "reject"})}
    assert checked_resume(both, pending) == both


def test_an_interrupt_of_another_kind_takes_any_answer() -> None:
    assert checked_resume("yes", [{"id": "a", "value": "Sure?"}]) == {"a": "yes"}
    assert checked_resume({"sure": True}, [{"id": "a", "value": "Sure?"}]) == {"a": {"sure": True}}


def test_nothing_to_decide() -> None:
    with pytest.raises(Conflict, match="nothing on this thread waits"):
        checked_resume(decided(APPROVE), [])


@pytest.mark.parametrize(
    ("resume", "said"),
    [
        (None, "command.resume: must not be null"),
        ("approve", "command.resume: must be an object"),
        (True, "command.resume: must be an object"),
        ([APPROVE], "command.resume: must be an object"),
        ({}, "command.resume: must be an object"),
        ({**decided(APPROVE, APPROVE), "more": 1}, "and nothing else"),
        ({"decisions": APPROVE}, "command.resume.decisions: must be an array"),
        (decided(), "decisions: has 0, but 2 calls wait for one, in this order: send, purge"),
        (decided(APPROVE), "has 1, but 2 calls wait"),
        (decided(APPROVE, "approve"), "decisions[1]: must be an object"),
        (
            decided(APPROVE, {}),
            "decisions[1].type: must be one of approve, edit, reject, respond for purge; it is None",
        ),
        (decided({"type": "accept"}, APPROVE), "decisions[0].type: must be one of"),
        (decided({"type": []}, APPROVE), "decisions[0].type: must be one of"),
        (decided({"type": "approve", "message": "x"}, APPROVE), "decisions[0].message: approve has no such field"),
        (decided({"type": "reject", "message": 1}, APPROVE), "decisions[0].message: must be a string"),
        (decided({"type": "respond"}, APPROVE), "decisions[0].message: must be a string: what the tool"),
        (decided({"type": "edit"}, APPROVE), "decisions[0].edited_action: must be an object with name and args"),
        (decided(APPROVE, EDIT), "decisions[1].edited_action.name: must stay 'purge'; it is 'send'"),
        (
            decided({"type": "edit", "edited_action": {"name": "send", "args": "x"}}, APPROVE),
            "edited_action.args: must be",
        ),
        ({"a": decided(APPROVE, APPROVE), "z": decided()}, "no interrupt 'z' is open; open are a"),
        ({"a": None}, "command.resume['a']: must not be null"),
        ({"a": decided()}, "command.resume['a'].decisions: has 0"),
    ],
)
def test_what_is_wrong_with_an_answer(resume: Any, said: str) -> None:
    with pytest.raises(UnprocessableInput) as caught:
        checked_resume(resume, [pause("a", "send", "purge")])
    assert said in caught.value.message


def test_a_kind_that_is_not_allowed() -> None:
    with pytest.raises(UnprocessableInput, match="must be one of approve, reject for send; it is 'edit'"):
        checked_resume(decided(EDIT), [pause("a", "send", allowed=["approve", "reject"])])


@pytest.mark.parametrize("resume", [decided(APPROVE), {"z": decided(APPROVE)}, None])
def test_which_interrupts_are_open_is_said(resume: Any) -> None:
    with pytest.raises(UnprocessableInput, match="open are a, b"):
        checked_resume(resume, [pause("a", "send"), pause("b", "send")])
