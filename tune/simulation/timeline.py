"""What a search had found when: the incumbent over the seconds that workers spent."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

from tune.machine.events import Ended, Entry, Failed, Launched, Reported

if TYPE_CHECKING:
    from pandas import DataFrame


class Timeline:
    """The best value found so far of `metric`, each time that it improved.

    Attributes:
        metric: what trials are compared by; `mode` is ``min`` or ``max``.
        best: the best value that there is, None when that is not known.
        seconds: by the clock, at each improvement.
        worker_seconds: spent by workers on trials until then, summed over the workers; idle ones spend none.
        incumbents: the best value from then on, and `trials` the trial that reported it.
    """

    def __init__(self, metric: str, mode: str, best: float | None = None) -> None:
        self.metric = metric
        self.mode = mode
        self.best = best
        self.seconds: list[float] = []
        self.worker_seconds: list[float] = []
        self.incumbents: list[float] = []
        self.trials: list[str] = []
        self.results = 0
        self.end_s = 0.0
        self.end_worker_seconds = 0.0
        self._sign = 1.0 if mode == "max" else -1.0
        self._busy = 0

    def __call__(self, entry: Entry) -> None:
        """Take in an entry of the journal, in order."""
        self.end_worker_seconds += self._busy * (entry.time - self.end_s)
        self.end_s = entry.time
        event = entry.event
        if isinstance(event, Launched):
            self._busy += 1
            return
        if isinstance(event, Reported | Ended) and event.metrics is not None:
            self.results += 1
            self._compare(event.trial_id, event.metrics.get(self.metric))
        if isinstance(event, Ended | Failed):
            self._busy -= 1

    def _compare(self, trial_id: str, value: object) -> None:
        if not isinstance(value, int | float) or math.isnan(value):
            return
        if self.incumbents and self._sign * value <= self._sign * self.incumbents[-1]:
            return
        self.seconds.append(self.end_s)
        self.worker_seconds.append(self.end_worker_seconds)
        self.incumbents.append(float(value))
        self.trials.append(trial_id)

    def until(self, value: float) -> float | None:
        """Worker-seconds until a result was at least as good as `value`; None when none was."""
        good = next((at for at, found in enumerate(self.incumbents) if self._sign * (found - value) >= 0), None)
        return None if good is None else self.worker_seconds[good]

    def incumbent(self, worker_seconds: float) -> float | None:
        """The best value found in the first `worker_seconds`; None before the first result."""
        at = bisect_right(self.worker_seconds, worker_seconds)
        return self.incumbents[at - 1] if at else None

    def mean_regret(self, worker_seconds: float) -> float:
        """How far the incumbent was from `best`, on average over the first `worker_seconds`, from the first result on.

        Raises:
            ValueError: `best` is not known, or nothing was reported in this time.
        """
        if self.best is None:
            raise ValueError("the best value is not known, so there is no regret: give best=")
        steps = [at for at in self.worker_seconds if at < worker_seconds]
        if not steps:
            raise ValueError(f"nothing was reported in the first {worker_seconds:g} worker-seconds")
        lengths = [end - begin for begin, end in zip(steps, [*steps[1:], worker_seconds], strict=True)]
        regrets = [abs(self.best - found) for found in self.incumbents[: len(steps)]]
        return sum(length * regret for length, regret in zip(lengths, regrets, strict=True)) / sum(lengths)

    def dataframe(self) -> DataFrame:
        """One row an improvement: seconds, worker_seconds, incumbent, trial, and regret where `best` is known."""
        import pandas as pd

        columns = {
            "seconds": self.seconds,
            "worker_seconds": self.worker_seconds,
            "incumbent": self.incumbents,
            "trial": self.trials,
        }
        frame = pd.DataFrame(columns)
        if self.best is not None:
            frame["regret"] = (frame["incumbent"] - self.best).abs()
        return frame

    def __repr__(self) -> str:
        last = self.incumbents[-1] if self.incumbents else None
        return (
            f"Timeline({self.metric} {last!r} after {self.end_worker_seconds:.4g} worker-seconds "
            f"({self.end_s:.4g} s), {self.results} results)"
        )
