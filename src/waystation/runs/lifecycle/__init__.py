"""The run state machine. Nothing else writes the status of a run or a thread.

States of a run::

    pending ──claim──► running ──► success | error | timeout | interrupted (= cancelled)
        ▲                 │
        └─ requeue ───────┘   (worker died or shut down; attempt + 1, resumes from its last checkpoint)

A run that may start is claimed as it is created if a worker has offered a slot for it, of this process or of another one.

A run is *held* while a worker has it (``worker_id`` set) and *settled* once its final state is committed
(``settled_at`` set). Cancelling a held run makes it ``interrupted`` at once, but it stays held until its worker has really
stopped and settles it; until then the thread is busy and no other run starts on it. A held run that is rolled back is
invisible and is deleted when its worker settles it.

The status of a thread follows from its runs, in the same transaction: ``busy`` while any run is unsettled, otherwise its
*rest status*: what the last settled run or state edit left behind (idle, interrupted or error).

Every function takes a `Connection` and is meant to run inside one `Database.write`.
"""

from waystation.runs.lifecycle.cancellation import cancel, delete
from waystation.runs.lifecycle.creation import create
from waystation.runs.lifecycle.holding import (
    ask_lease,
    claim,
    fence,
    guard,
    holdings,
    let_go,
    next_due_at,
    renew,
    requeue,
    requeuing,
    require_lease,
    take_back,
    take_over_expired,
    take_up,
)
from waystation.runs.lifecycle.records import NOTHING, Claim, Claimed, Created, LeaseLost, Outcome, Settled
from waystation.runs.lifecycle.settlement import settling
from waystation.runs.lifecycle.thread_state import (
    in_flight_runs,
    record_state,
    require_no_run_in_flight,
    require_paused,
)

__all__ = [
    "NOTHING",
    "Claim",
    "Claimed",
    "Created",
    "LeaseLost",
    "Outcome",
    "Settled",
    "ask_lease",
    "cancel",
    "claim",
    "create",
    "delete",
    "fence",
    "guard",
    "holdings",
    "in_flight_runs",
    "let_go",
    "next_due_at",
    "record_state",
    "renew",
    "requeue",
    "requeuing",
    "require_lease",
    "require_no_run_in_flight",
    "require_paused",
    "settling",
    "take_back",
    "take_over_expired",
    "take_up",
]
