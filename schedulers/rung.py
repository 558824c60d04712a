"""A rung: what was recorded at one milestone, and the trials that wait there to be promoted."""

from __future__ import annotations

from collections.abc import Container
from heapq import heappop, heappush

from schedulers.ranking import Entry, Ranking


class Rung:
    """The results that trials had when they reached `milestone`; `number` counts from 0, the lowest."""

    def __init__(self, number: int, milestone: float, reduction_factor: float) -> None:
        self.number = number
        self.milestone = milestone
        self._reduction_factor = reduction_factor
        self._ranking = Ranking()
        self._queue: list[Entry] = []
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return len(self._ranking)

    @property
    def quota(self) -> int:
        """How many trials the best 1/eta of this rung are, rounded down."""
        return int(len(self._ranking) / self._reduction_factor)

    def record(self, trial_id: str, score: float) -> tuple[Entry, int]:
        """Keep a trial's score (larger is better), once for each trial: its entry, and its place in line, from 1."""
        entry = (-score, len(self._ranking), trial_id)
        return entry, self._ranking.add(entry) + 1

    def place(self, entry: Entry) -> int:
        """The place of `entry`, from 1; those with equal scores share the best of their places."""
        return self._ranking.before(entry[:1]) + 1

    def place_in_line(self, entry: Entry) -> int:
        """The place of `entry`, from 1; of those with equal scores the earlier is before the later."""
        return self._ranking.before(entry) + 1

    def hold(self, entry: Entry) -> None:
        """Let the trial of `entry` wait here for its promotion."""
        self._waiting.add(entry[2])
        heappush(self._queue, entry)

    def let_go(self, trial_id: str) -> None:
        """The trial waits no more: promoted, or ended. It still counts, and leaves the queue when at its head."""
        self._waiting.discard(trial_id)

    def promotable(self, startable: Container[str]) -> str | None:
        """The best of those that wait here, are among the best 1/eta of the rung, and are `startable`.

        A trial waits from its report on, but can only start once its checkpoint is saved. Those still saving are looked
        past and stay; there are never more of them than trials that run.
        """
        saving: list[Entry] = []
        found = None
        while found is None and self._queue and self.place_in_line(self._queue[0]) <= self.quota:
            trial_id = self._queue[0][2]
            if trial_id not in self._waiting:
                heappop(self._queue)
            elif trial_id in startable:
                found = trial_id
            else:
                saving.append(heappop(self._queue))
        for entry in saving:
            heappush(self._queue, entry)
        return found
