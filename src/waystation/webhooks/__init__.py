"""Webhooks: telling others that a run is over (spec 11).

The notice of a run is written to an outbox in the transaction that settles the run, so that a crash in between loses nothing. From
there it is delivered at least once, by whichever process gets to it, until its receiver takes it or it is given up.
"""

from waystation.webhooks.outbox import put

__all__ = ["put"]
