"""The runs that a worker executes, and its room for more."""

from __future__ import annotations

from uuid import uuid4

from waystation.runs.lifecycle import Claim, Claimed
from waystation.runs.slots import Slots


def claimed(run_id: str | None = None) -> Claimed:
    return Claimed(run_id or str(uuid4()), "thread", "assistant", "graph", 1, {}, 0, None, 1, "default", Claim("me", 1))


def test_a_slot_is_reserved_then_occupied_then_free_again() -> None:
    slots = Slots(3)
    assert (slots.reserve(), slots.reserve(5), slots.reserve()) == (1, 2, 0)
    slots.release(2)
    running = slots.occupy(claimed())
    assert (len(slots), slots.free, running.run.run_id in slots) == (1, 2, True)
    slots.leave(running)
    slots.leave(running)
    assert (len(slots), slots.free) == (0, 3)
    slots.closed = True
    assert (slots.free, slots.reserve()) == (0, 0)


def test_what_has_to_be_executed_needs_no_slot() -> None:
    slots = Slots(1)
    slots.reserve()
    running = slots.occupy(claimed(), reserved=False)
    assert slots.free == 0
    slots.release()
    slots.leave(running)
    assert slots.free == 1


def test_a_later_attempt_does_not_lose_its_slot_to_an_earlier_one() -> None:
    slots = Slots(2)
    first = slots.occupy(claimed("run"), reserved=False)
    second = slots.occupy(claimed("run"), reserved=False)
    slots.leave(first)
    assert list(slots) == [second]


def test_the_queue_is_known_to_be_empty_after_a_claim_that_found_less_than_it_could() -> None:
    slots = Slots(2)
    got, news = slots.begin_claim(None)
    assert (got, slots.queue_may_have_more) == (2, True), "a slot that gets free meanwhile must look"
    slots.end_claim(got, 2, news)
    assert slots.queue_may_have_more
    for run in (claimed(), claimed()):
        slots.occupy(run)
    assert slots.begin_claim(None)[0] == 0
    assert slots.queue_may_have_more, "nobody has looked"
    slots.leave(next(iter(slots)))
    got, news = slots.begin_claim(4)
    slots.end_claim(got, 0, news)
    assert not slots.queue_may_have_more
    slots.expect_more()
    assert slots.queue_may_have_more


def test_word_of_a_run_that_comes_during_a_claim_is_not_forgotten() -> None:
    slots = Slots(2)
    got, news = slots.begin_claim(1)
    slots.expect_more()
    slots.end_claim(got, 0, news)
    assert slots.queue_may_have_more
    assert slots.free == 2


def test_a_run_that_is_to_stop_before_it_is_executed() -> None:
    slots = Slots(2)
    slots.reserve()
    assert slots.stop(["one", "other"], 5.0) == ["one", "other"]
    assert slots.occupy(claimed("one")).stop_asked_at == 5.0
    assert slots.stop(["one", "other"], 7.0) == ["other"]
    assert next(iter(slots)).stop_asked_at == 5.0, "when it was asked for first"
