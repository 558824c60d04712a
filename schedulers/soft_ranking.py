"""Whether trials rank at a rung as they did one rung below, up to differences that are noise.

Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR 2023, sections 4.1 and 4.2.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from itertools import repeat
from operator import gt, ne, sub

_MOST = 256
"""How many trials of a rung are ranked, the latest: a rank that changed shows when its trial arrives."""

_PAIRS = 32
"""With how many that came before a trial is paired to learn what is noise."""

_DISTANCES = 1000
"""How many distances of noisy pairs are remembered, the latest."""

_QUANTILE = 0.9

Curve = dict[float, float]
"""A trial's scores by the times at which it reported them, in the order of time; larger is better."""


class SoftRanking:
    """The trials at one rung: the scores that they had at the rung below, in their order here and in that of below."""

    def __init__(self) -> None:
        self._latest: deque[tuple[tuple[float, str], float]] = deque()
        self._here: list[tuple[float, str]] = []
        self._own: list[float] = []
        self._below: list[float] = []

    def add(self, trial_id: str, here: float, below: float) -> None:
        """A trial arrived, with its score here and the one it had at the rung below."""
        place = (here, trial_id)
        index = bisect_left(self._here, place)
        self._here.insert(index, place)
        self._own.insert(index, below)
        insort(self._below, below)
        self._latest.append((place, below))
        if len(self._latest) > _MOST:
            self._forget(*self._latest.popleft())

    def is_stable(self, epsilon: float) -> bool:
        """Whether whoever is i-th here was, below, within `epsilon` of the one that was i-th there, for every i."""
        # Two that are infinitely bad are apart by NaN, which is not more than epsilon.
        apart = map(abs, map(sub, self._own, self._below))
        return not any(map(gt, apart, repeat(epsilon)))

    def _forget(self, place: tuple[float, str], below: float) -> None:
        index = bisect_left(self._here, place)
        del self._here[index], self._own[index]
        del self._below[bisect_left(self._below, below)]


class Noise:
    """epsilon: how far apart two trials may be and still owe their order to chance.

    A pair is noisy when its curves cross at least twice, so that one is ahead, then behind, then ahead again. Epsilon
    is the 90th percentile of how far apart noisy pairs are in the end; 0 until there is one.
    """

    def __init__(self) -> None:
        self.epsilon = 0.0
        self._latest: deque[Curve] = deque(maxlen=_PAIRS)
        self._distances: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, curve: Curve) -> None:
        """A trial has come as far as those before it, by this curve."""
        for other in self._latest:
            ahead = [score > other[t] for t, score in curve.items() if t in other]
            if sum(map(ne, ahead, ahead[1:])) >= 2:
                last = next(t for t in reversed(curve) if t in other)
                self._remember(abs(curve[last] - other[last]))
        self._latest.append(curve)

    def next_rung(self) -> None:
        """Look at trials one rung further from now on; epsilon holds until a noisy pair is seen there."""
        self._latest.clear()
        self._distances.clear()
        self._sorted.clear()

    def _remember(self, distance: float) -> None:
        self._distances.append(distance)
        insort(self._sorted, distance)
        if len(self._distances) > _DISTANCES:
            del self._sorted[bisect_left(self._sorted, self._distances.popleft())]
        at = _QUANTILE * (len(self._sorted) - 1)
        lower, upper = self._sorted[math.floor(at)], self._sorted[math.ceil(at)]
        self.epsilon = lower + (upper - lower) * (at % 1)
