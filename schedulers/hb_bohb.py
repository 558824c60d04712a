"""The HyperBand that goes with BOHB: the same brackets, sized as BOHB's authors size them.

Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018; arXiv:1807.01774.
"""

from __future__ import annotations

from schedulers.hyperband import HyperBandScheduler


class HyperBandForBOHB(HyperBandScheduler):
    """HyperBand with any searcher that learns from every rung's results, such as BOHB's; arguments as there.

    BOHB's program, like the table in HyperBand's paper, begins bracket s with floor((s_max + 1) / (s + 1)) * eta^s
    trials, a few less than the paper's algorithm. A new trial is asked for only when nobody waits to be sent on, one
    after the other, so each suggestion knows all results so far; the searcher is told every result of every rung.
    """

    def size(self, s: int) -> int:
        """n, how many trials bracket `s` begins with."""
        return int((self._s_max + 1) // (s + 1) * self._eta**s)
