"""A bracket of HyperBand: one run of synchronous successive halving, whose trials climb from rung to rung together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schedulers.ranking import Entry


@dataclass(frozen=True, slots=True)
class Halving:
    """A rung that is complete: all that came, the best first, of which the first `kept` go on."""

    rung: int
    order: tuple[str, ...]
    kept: int


class Bracket:
    """Who of a bracket still climbs to its rung, and who has come and waits there.

    With the paper's symbols: `number` is s, `sizes` are n_0 to n_s, `milestones` r_0 to r_s. At the last milestone
    trials end, so nobody waits there. A bracket is open while trials are missing from n_0; one that is closed before
    halves what it has by the same rule.
    """

    def __init__(self, number: int, sizes: Sequence[int], milestones: Sequence[float], reduction_factor: float) -> None:
        self.number = number
        self.rung = 0
        self.open = True
        self._sizes = list(sizes)
        self._milestones = tuple(milestones)
        self._reduction_factor = reduction_factor
        self._joined = 0
        self._climbing: set[str] = set()
        self._there: dict[str, Entry] = {}

    @property
    def milestone(self) -> float:
        """Where its trials go now."""
        return self._milestones[self.rung]

    @property
    def halves(self) -> bool:
        """Whether there is a halving at the milestone: at the last one there is none."""
        return self.rung < len(self._milestones) - 1

    @property
    def complete(self) -> bool:
        """Whether all that can come to the present rung have come."""
        return not self.open and self._awaits_nobody

    def join(self, trial_id: str) -> None:
        """Take a new trial; the last that fits closes the bracket."""
        assert self.open
        self._joined += 1
        self._climbing.add(trial_id)
        self.open = self._joined < self._sizes[0]

    def arrive(self, trial_id: str, score: float) -> None:
        """A trial has reached the milestone with `score`; larger is better, and of equal ones the earlier is."""
        self._climbing.remove(trial_id)
        self._there[trial_id] = (-score, len(self._there), trial_id)

    def leave(self, trial_id: str) -> None:
        """A trial has ended, wherever it stood: nobody waits for it any more."""
        self._climbing.discard(trial_id)
        self._there.pop(trial_id, None)

    def climbs(self, trial_id: str) -> bool:
        """Whether the trial is on its way to the milestone."""
        return trial_id in self._climbing

    def waits(self, trial_id: str) -> bool:
        """Whether the trial waits at the milestone."""
        return trial_id in self._there

    def close(self) -> None:
        """Take nobody any more: the bracket is as large as it is."""
        if self.open:
            self.open = False
            self._sizes = self._sizes_from(self._joined)

    def halve(self) -> Halving:
        """Send the best of a complete rung on to the next."""
        assert self.complete
        assert self.halves
        halving = self._ranked(self._sizes[self.rung + 1])
        self.rung += 1
        self._climbing = set(halving.order[: halving.kept])
        self._there = {}
        return halving

    def if_closed(self) -> Halving | None:
        """What `halve` would do if nobody came any more; None as long as there is somebody to wait for."""
        if not self.open or not self._awaits_nobody or not self.halves:
            return None
        return self._ranked(self._sizes_from(self._joined)[self.rung + 1])

    def count(self) -> str:
        """How many have come, of how many that are still in the race."""
        awaited = len(self._climbing) + (self._sizes[0] - self._joined if self.open else 0)
        return f"{len(self._there)} of {len(self._there) + awaited} are there"

    @property
    def _awaits_nobody(self) -> bool:
        return bool(self._there) and not self._climbing

    def _ranked(self, size: int) -> Halving:
        order = tuple(trial_id for _, _, trial_id in sorted(self._there.values()))
        return Halving(self.rung, order, min(size, len(order)))

    def _sizes_from(self, first: int) -> list[int]:
        """As the paper has it, n_i is n_0 * eta^-i rounded down; somebody always goes on."""
        return [max(1, int(first / self._reduction_factor**rung)) for rung in range(len(self._milestones))]
