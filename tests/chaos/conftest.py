"""The seed of the faults."""

from __future__ import annotations

import os
from random import SystemRandom

import pytest

pytest.register_assert_rewrite("tests.chaos.verdict")


@pytest.fixture
def seed() -> int:
    """What decides on the faults: WAYSTATION_CHAOS_SEED, or another number each time."""
    seed = int(os.environ.get("WAYSTATION_CHAOS_SEED") or SystemRandom().randrange(10**6))
    print(f"WAYSTATION_CHAOS_SEED={seed}")
    return seed
