"""Leases: how long an agent may go on without the head, and when the head may take it for gone. Pure.

The agent's clock starts when it *sends* a beat that the head then answers; the head's when it *hears* one. So an agent
that was cut off has ended its calls, `lease_s` after its last answered beat, before the head starts them elsewhere,
`lease_s + grace_s` after the last beat that it heard. Both clocks also count while their machine sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Terms:
    """How often agents and drivers say that they are there, and how long they may be silent."""

    beat_s: float = 2.5
    lease_s: float = 10.0
    grace_s: float = 2.0
    """How much longer the head waits: for the processes to end, and for clocks that run unequally."""
    driver_grace_s: float = 60.0
    """How long the calls of a driver that has gone without a word go on."""

    def __post_init__(self) -> None:
        if not 0 < 2 * self.beat_s < self.lease_s:
            raise ValueError(f"lease_s must be more than two beats of {self.beat_s:g} s, got {self.lease_s:g}")
        if self.grace_s <= 0 or self.driver_grace_s <= 0:
            raise ValueError(f"grace_s and driver_grace_s must be above 0, got {self}")

    @classmethod
    def of_lease(cls, lease_s: float) -> Self:
        """With four beats to a lease, and a fifth of it as grace."""
        return cls(beat_s=lease_s / 4, lease_s=lease_s, grace_s=lease_s / 5)

    @property
    def lost_after_s(self) -> float:
        """How long the head hears nothing before a node is lost."""
        return self.lease_s + self.grace_s


class Lease:
    """The agent's side."""

    def __init__(self, lease_s: float, now: float) -> None:
        self._lease_s = lease_s
        self._from = now
        self._sent: dict[int, float] = {}

    def sent(self, number: int, now: float) -> None:
        """A beat goes out."""
        self._sent[number] = now

    def answered(self, number: int) -> None:
        """The head has heard this beat, and so all before it."""
        if (sent := self._sent.get(number)) is not None:
            self._from = max(self._from, sent)
            self._sent = {other: at for other, at in self._sent.items() if other > number}

    def refused(self, now: float) -> None:
        """The head's machine answers that no head is there: none can give our calls to others before it has started.

        A head that starts waits longer than a lease before it takes anybody for gone.
        """
        self._from = max(self._from, now)

    def renew(self, lease_s: float, now: float) -> None:
        """The head has just taken us in."""
        self._lease_s, self._from = lease_s, now
        self._sent.clear()

    def ends_at(self) -> float:
        """When our calls have to have ended, unless another beat is answered."""
        return self._from + self._lease_s
