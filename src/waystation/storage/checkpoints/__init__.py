"""LangGraph's checkpoints in the server's database.

`saver.py` is where to begin. A checkpoint is a row (`records.py`); its channel values are rows of their own, each version
stored once, as a difference to an earlier one where that pays (`values.py`, `deltas.py`); the metadata that a run's
checkpoints share is one row (`checkpoint_runs`).
"""

from waystation.storage.checkpoints.maintenance import (
    copy_thread,
    delete_for_runs,
    delete_threads,
    prune,
    storage_report,
)
from waystation.storage.checkpoints.pruning import BEGINNING, Place, keep_latest
from waystation.storage.checkpoints.queries import newest_checkpoint_id, newest_run_id
from waystation.storage.checkpoints.removal import delete_set_aside, find_set_aside, set_aside, size
from waystation.storage.checkpoints.saver import RunSaver, Saver

__all__ = [
    "BEGINNING",
    "Place",
    "RunSaver",
    "Saver",
    "copy_thread",
    "delete_for_runs",
    "delete_set_aside",
    "delete_threads",
    "find_set_aside",
    "keep_latest",
    "newest_checkpoint_id",
    "newest_run_id",
    "prune",
    "set_aside",
    "size",
    "storage_report",
]
