"""How much of a machine's resources each trial should have: functions for `ResourceChangingScheduler`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schedulers.base import Trial


@dataclass(frozen=True, slots=True)
class Holdings:
    """Who holds what, as amounts by kind.

    `total` is what all nodes have together, `base` what each trial begins with. `running` are the trials that have
    started and are not over; `places` is how many others will want to start with `base`.
    """

    total: Mapping[str, float]
    base: Mapping[str, float]
    running: Mapping[str, Trial]
    places: int = 0

    def free(self, kind: str, but: Trial, reserved: float = 0.0) -> float:
        """What `but` could have of `kind`, if all others kept what they hold and `reserved` stayed free."""
        others = sum(one.resources.get(kind, 0) for name, one in self.running.items() if name != but.trial_id)
        return self.total.get(kind, 0) - reserved - others - self.places * self.base.get(kind, 0)


Allocation = Callable[[Holdings, Trial, Mapping[str, Any]], Mapping[str, float] | None]
"""Takes the holdings, the trial that reported, its result; answers what the trial should have, None for no change."""


class DistributeResources:
    """Spreads all resources evenly over the trials that run: as trials end, those that are left grow.

    Args:
        increase_by: the kinds that are spread, and by which steps they grow; by default what trials begin with.
        reserve_resources: what stays free.
    """

    def __init__(
        self,
        increase_by: Mapping[str, float] | None = None,
        reserve_resources: Mapping[str, float] | None = None,
    ) -> None:
        for name, given in (("increase_by", increase_by), ("reserve_resources", reserve_resources)):
            if any(amount < 0 or (amount == 0 and name == "increase_by") for amount in (given or {}).values()):
                raise ValueError(f"{type(self).__name__}: {name} is {given!r}: amounts must be above 0")
        self._increase_by = dict(increase_by or {})
        self._reserved = dict(reserve_resources or {})

    def __call__(self, holdings: Holdings, trial: Trial, result: Mapping[str, Any]) -> Mapping[str, float] | None:
        share = {
            kind: self._share(holdings, trial, kind, step)
            for kind, step in (self._increase_by or holdings.base).items()
        }
        return {**holdings.base, **share}

    def _share(self, holdings: Holdings, trial: Trial, kind: str, step: float) -> float:
        fair = (holdings.total.get(kind, 0) - self._reserved.get(kind, 0)) / max(len(holdings.running), 1)
        return self._stepped(holdings, trial, kind, step, fair)

    def _stepped(self, holdings: Holdings, trial: Trial, kind: str, step: float, most: float) -> float:
        """The base and whole steps, up to `most` and to what is free."""
        base = holdings.base.get(kind, 0)
        most = min(most, holdings.free(kind, trial, self._reserved.get(kind, 0)))
        return base + max(math.floor((most - base) / step + 1e-9), 0) * step


class DistributeResourcesToTopJob(DistributeResources):
    """Gives all that is free to the best of the trials that run; one that is best no more goes back to the base.

    Args:
        increase_by: as in `DistributeResources`.
        reserve_resources: what stays free.
        metric: what trials are compared by, by their last result.
        mode: ``min`` or ``max``.
    """

    def __init__(
        self,
        increase_by: Mapping[str, float] | None = None,
        reserve_resources: Mapping[str, float] | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(increase_by, reserve_resources)
        if metric is None or mode not in ("min", "max"):
            given = f"{metric!r} and {mode!r}"
            raise ValueError(f"DistributeResourcesToTopJob: give metric, and mode 'min' or 'max', got {given}")
        self._metric = metric
        self._sign = 1 if mode == "max" else -1
        self._values: dict[str, float] = {}

    def __call__(self, holdings: Holdings, trial: Trial, result: Mapping[str, Any]) -> Mapping[str, float] | None:
        value = result.get(self._metric)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        self._values[trial.trial_id] = self._sign * value
        self._values = {name: one for name, one in self._values.items() if name in holdings.running}
        return super().__call__(holdings, trial, result)

    def _share(self, holdings: Holdings, trial: Trial, kind: str, step: float) -> float:
        is_top = max(self._values, key=lambda name: self._values[name]) == trial.trial_id
        return self._stepped(holdings, trial, kind, step, math.inf) if is_top else holdings.base.get(kind, 0)
