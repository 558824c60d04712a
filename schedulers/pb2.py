"""Population based bandits (PB2): population based training whose explore step is learned.

Parker-Holder, Nguyen, Roberts, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits",
NeurIPS 2020, arXiv:2002.02518. With its symbols: f_t(x) is the change of the reward over an interval that begins at
time t with hyperparameters x; a time-varying Gaussian process models it, and x_t is where mean + sqrt(beta_t) *
deviation is highest, with beta_t = c1 + log(c2 * t).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from schedulers import bounds
from schedulers.base import Exploit, ScheduleContext, Trial
from schedulers.pbt import Explore, PopulationBasedTraining
from schedulers.population import Member

_C1, _C2 = 0.2, 0.4

_MOST_PENDING = 200


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a member's present interval began, and how good it was there."""

    t: float
    score: float


class PB2(PopulationBasedTraining):
    """Population based training for few members: who copies is given the values that promise most, not random ones.

    All that `PopulationBasedTraining` says of intervals, copies, pauses and checkpoints holds. The values are found by
    a Gaussian process of how fast the metric got better, with which values, at which time; what others try just now
    counts as known, so that they do not all try the same: of many, the 200 that started last. It keeps the last 200
    intervals, and is fitted anew for a copy when a tenth more were seen. A copy costs some 10 ms for it, or 20 among
    many, and nothing else does (`benchmarks/scheduler_decisions.py`). Until there are 4, values are drawn evenly.

    Args:
        time_attr: as in `PopulationBasedTraining`, like all others.
        metric: what trials are compared by.
        mode: ``min`` or ``max``.
        perturbation_interval: how far a trial trains before it is compared again.
        hyperparam_bounds: the range of each number, by key: ``[lowest, highest]``, or a domain such as
            ``tune.loguniform(1e-4, 0.1)``, whose scale is kept; or a dictionary of these for a nested configuration.
        quantile_fraction: which part of the population copies, and is copied.
        log_config: kept for Ray's sake.
        require_attrs: whether a result without `time_attr` or the metric is an error.
        synch: whether all wait for each other at the end of every interval.
        custom_explore_fn: takes the configuration that was found and returns the one to use.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(  # noqa: PLR0917 (the arguments that users know from Ray Tune)
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        hyperparam_bounds: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Explore | None = None,
    ) -> None:
        given = hyperparam_bounds or {}
        mistakes = list(bounds.mistakes_of(given))
        if not given:
            mistakes.append("hyperparam_bounds is empty: give {'lr': [0.001, 0.1]}")
        try:
            super().__init__(
                time_attr,
                metric,
                mode,
                perturbation_interval,
                hyperparam_mutations={} if mistakes else bounds.as_bounds(given),
                quantile_fraction=quantile_fraction,
                custom_explore_fn=custom_explore_fn,
                log_config=log_config,
                require_attrs=require_attrs,
                synch=synch,
            )
        except ValueError as error:
            mistakes.insert(0, str(error).removeprefix("PB2: "))
        if mistakes:
            raise ValueError(f"PB2: {'; '.join(mistakes)}")
        self._ranges = list(bounds.flat(self._mutations))

    def bind(self, context: ScheduleContext) -> None:
        from schedulers.time_varying import Bandit  # numpy and scipy: only who searches pays for them

        super().bind(context)
        self._bandit = Bandit()
        self._marks: dict[str, _Mark] = {}
        self._trying: dict[str, tuple[float, ...]] = {}

    def on_trial_add(self, trial: Trial) -> None:
        super().on_trial_add(trial)
        self._trying[trial.trial_id] = self._unit(trial.config)

    def on_trial_start(self, trial: Trial) -> None:
        super().on_trial_start(trial)
        self._trying[trial.trial_id] = self._trying.pop(trial.trial_id)  # who started last comes last

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> Any:
        self._marks.pop(trial.trial_id, None)
        self._trying.pop(trial.trial_id, None)
        return super().on_trial_complete(trial, result)

    def _observe(self, member: Member, score: float) -> None:
        name, mark = member.trial_id, self._marks.get(member.trial_id)
        if not math.isfinite(score):
            self._marks.pop(name, None)
        elif mark is None or member.t <= mark.t:
            self._marks[name] = _Mark(member.t, score)
        elif member.t >= self._due(member):
            change = (score - mark.score) / (member.t - mark.t)
            self._bandit.see(member.t / self._interval, self._unit(member.trial.config), change)
            self._marks[name] = _Mark(member.t, score)

    def _exploit(self, member: Member, place: int | None) -> Exploit | None:
        exploit = super()._exploit(member, place)
        if exploit is not None:
            donor = self._population.members[exploit.donor]
            assert donor.score is not None  # it is one of the best
            self._marks[member.trial_id] = _Mark(donor.t, donor.score)
            self._trying[member.trial_id] = self._unit(exploit.config)
        return exploit

    def _explore(self, member: Member, donor: Member, rng: Random) -> dict[str, Any]:
        if self._bandit.is_ready:
            found = self._most_promising(member, donor, rng)
        else:
            found = [rng.random() for _ in self._ranges]
        config = dict(donor.trial.config)
        for (path, one), unit in zip(self._ranges, found, strict=True):
            config = bounds.put(config, path, one.value(unit))
        return config if self._custom_explore is None else self._custom_explore(config)

    def _most_promising(self, member: Member, donor: Member, rng: Random) -> list[float]:
        import numpy as np

        latest = (x for name, x in reversed(self._trying.items()) if name != member.trial_id)
        others = list(islice(latest, _MOST_PENDING))
        pending = np.array(others).reshape(len(others), len(self._ranges))
        now = donor.t / self._interval
        beta = max(_C1 + math.log(max(_C2 * now, 1.0)), _C1)
        generator = np.random.default_rng(rng.getrandbits(64))
        return [float(one) for one in self._bandit.best_point(pending, now, beta, generator)]

    def _unit(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return tuple(one.unit(bounds.at(config, path)) for path, one in self._ranges)
