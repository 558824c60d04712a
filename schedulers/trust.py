"""How far early ranks can be trusted, learnt from the curves of trials that went on."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

_DENSITY = 1.5
_CURVES = 64
_ENOUGH = 12


class Trust:
    """Which epoch may be the first rung of trials that train to `max_t`.

    Compared are ranks at early epochs with those at `reference`, a ninth of `max_t`, over the latest curves that
    reached it, by Kendall's tau. While nothing is known the first rung is halfway, on a logarithmic scale, between 1
    and the twenty-seventh part of `max_t`: three reductions by three.

    The first rung moves up when its tau is below 0.2 by more than a standard error: to the next epoch of which that
    cannot be said. The curves are those of the better trials, whose ranks agree less than those of all, so that little
    agreement is much. It never moves down: ranks that foretell those at `reference` well may still foretell the last
    ones badly, and an epoch or two is little to pay.
    """

    def __init__(self, max_t: float) -> None:
        self.epochs = _epochs(max_t)
        self._reference = max(bisect_right(self.epochs, max_t / 9) - 1, 0)
        self._curves: deque[list[float]] = deque(maxlen=_CURVES)
        self.first = _at_or_below(self.epochs, round(math.sqrt(max(max_t / 27, 1))))
        self.why = f"halfway between 1 and a twenty-seventh of {max_t:g}, until curves are known"

    @property
    def reference(self) -> int:
        """The epoch whose ranks are to be foretold."""
        return self.epochs[self._reference]

    def add(self, marks: Sequence[float]) -> None:
        """A trial came to the latest of `marks`, the best values it had at `epochs`."""
        if len(marks) == self._reference + 1:
            self._curves.append(list(marks))

    def learn(self) -> bool:
        """Choose the first rung anew; whether it changed."""
        n = len(self._curves)
        if n < _ENOUGH or self.first >= self.reference:
            return False
        error = math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
        last = [curve[self._reference] for curve in self._curves]
        taus = [tau([curve[at] for curve in self._curves], last) for at in range(self._reference + 1)]
        now = self.epochs.index(self.first)
        chosen = next(at for at in range(now, len(taus)) if taus[at] + error >= _LITTLE or at + 1 == len(taus))
        if chosen == now:
            return False
        self.first = self.epochs[chosen]
        self.why = (
            f"ranks there agree with those at {self.reference} (Kendall's tau {taus[chosen]:.2f} over {n} curves; "
            f"at {self.epochs[now]}, where it was, {taus[now]:.2f})"
        )
        return True


_LITTLE = 0.2


def tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau: how many more pairs are in the same order in both than in opposite ones, of those without ties."""
    same = opposite = 0
    for at, (a, b) in enumerate(zip(one, other, strict=True)):
        for before in range(at):
            sign = (a - one[before]) * (b - other[before])
            same += sign > 0
            opposite += sign < 0
    return (same - opposite) / max(same + opposite, 1)


def _epochs(max_t: float) -> list[int]:
    """1, 2, 3, 4, 7, 10 and so on: each half as much again as the one before, up to `max_t`."""
    epochs, at = [], 1.0
    while at <= max_t:
        epochs.append(round(at))
        at = max(at * _DENSITY, at + 1)
    return epochs


def _at_or_below(epochs: Sequence[int], at: float) -> int:
    return epochs[max(bisect_right(epochs, at) - 1, 0)]
