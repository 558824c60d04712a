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

    An offer stands until it is taken, made anew or withdrawn. Those that no longer stand stay among the others until
    they are more than half of them: to look for one would take longer each time.
    """

    limit: int | None
    bytes: int = 0
    _offers: list[Offer] = field(default_factory=list)
    _standing: dict[tuple[str, str], Offer] = field(default_factory=dict)
    _count: int = 0

    def offer(self, trial_id: str, checkpoint: CheckpointRef, score: float, *, latest: bool = False) -> None:
        """Say that a checkpoint may go; `latest` is that of a trial that has ended."""
        if self.limit is not None:
            self._count += 1
            self.put_back(Offer(latest, score, self._count, trial_id, checkpoint))

    def put_back(self, offer: Offer) -> None:
        """It was not taken after all."""
        self._standing[offer.trial_id, offer.checkpoint.path] = offer
        heapq.heappush(self._offers, offer)
        if len(self._offers) > 2 * len(self._standing):
            self._offers = sorted(self._standing.values())

    def withdraw(self, trial_id: str, checkpoint: CheckpointRef) -> None:
        """The trial has let go of a checkpoint, whether it was offered or not."""
        self._standing.pop((trial_id, checkpoint.path), None)

    def next_to_go(self) -> Offer | None:
        """What should go next; None while the limit is kept, or when nothing may."""
        while self.limit is not None and self.bytes > self.limit and self._offers:
            offer = heapq.heappop(self._offers)
            key = offer.trial_id, offer.checkpoint.path
            if self._standing.get(key) is offer:
                return self._standing.pop(key)
        return None
