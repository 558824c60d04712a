"""Which of several trials are best when there is more than one objective.

Non-domination rank and crowding distance: Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II, IEEE Transactions on Evolutionary Computation 6(2), 2002. What breaks a constraint is compared by
how far it does, after all that keeps it: Deb, An efficient constraint handling method for genetic algorithms, CMAME
186, 2000.
"""

from __future__ import annotations

import numpy
from numpy.typing import NDArray

from searchers.axes import Indices
from searchers.observations import Array, History


def best_rows(history: History, count: int) -> Indices:
    """The `count` best rows, best first: the lowest loss, or whole fronts, and of the last one the least crowded.

    Rows that break constraints come after all that keep them, those that break them least first.
    """
    losses, violations = history.losses, history.violations
    if losses.shape[1] == 1:
        return numpy.lexsort((losses[:, 0], violations))[:count]
    chosen: list[int] = []
    left = numpy.flatnonzero(violations == 0)
    while len(chosen) < count and len(left):
        on_front = front(losses[left])
        members = left[on_front]
        by_distance = numpy.argsort(-crowding_distance(losses[members]), kind="stable")
        chosen.extend(members[by_distance].tolist())
        left = left[~on_front]
    broken = numpy.flatnonzero(violations)
    chosen.extend(broken[numpy.argsort(violations[broken], kind="stable")].tolist())
    return numpy.array(chosen[:count], dtype=numpy.intp)


def front(losses: Array) -> NDArray[numpy.bool_]:
    """Which rows no other row dominates: is as small everywhere and smaller somewhere."""
    order = numpy.lexsort(losses.T[::-1])  # a row can only be dominated by one that stands before it
    kept: list[int] = []
    is_on_front = numpy.zeros(len(losses), dtype=bool)
    for row in order:
        others = losses[kept]
        if not numpy.any(numpy.all(others <= losses[row], axis=1) & numpy.any(others < losses[row], axis=1)):
            kept.append(row)
            is_on_front[row] = True
    return is_on_front


def crowding_distance(losses: Array) -> Array:
    """How far each row's neighbours are from each other, summed over the objectives; the ends are infinitely far."""
    distance = numpy.zeros(len(losses))
    for column in losses.T:
        order = numpy.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = numpy.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
