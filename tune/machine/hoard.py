"""How many bytes the experiment's checkpoints take, and which of them go first when that is too much. Pure.

A checkpoint may go once its trial has a later one, or is over. Those with a later one go before those that are the
latest of a trial that has ended, and of each kind the worst goes first. The latest of a trial that is not over never
goes: it is what the trial goes on from.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

from tune.machine.events import CheckpointRef


class Offer(NamedTuple):
    """A checkpoint of a trial that may go, in the order in which they do."""

    latest: bool
    score: float
    number: int
    trial_id: str
    checkpoint: CheckpointRef


@dataclass
class Hoard:
    """The bytes of all checkpoints that are held, against a `limit` (None: without).

    An offer stands until it is taken: whether the trial still has the checkpoint is for the one who takes it to see.
    """

    limit: int | None
    bytes: int = 0
    _offers: list[Offer] = field(default_factory=list)
    _count: int = 0

    def offer(self, trial_id: str, checkpoint: CheckpointRef, score: float, *, latest: bool = False) -> None:
        """Say that a checkpoint may go; `latest` is that of a trial that has ended."""
        if self.limit is not None:
            self._count += 1
            heapq.heappush(self._offers, Offer(latest, score, self._count, trial_id, checkpoint))

    def put_back(self, offer: Offer) -> None:
        """It was not taken after all."""
        heapq.heappush(self._offers, offer)

    def next_to_go(self) -> Offer | None:
        """What should go next; None while the limit is kept, or when nothing may."""
        if self.limit is None or self.bytes <= self.limit or not self._offers:
            return None
        return heapq.heappop(self._offers)
