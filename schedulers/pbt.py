"""Population based training (PBT): a population trains together, the worst go on from the best ones' weights.

Jaderberg et al., "Population Based Training of Neural Networks", arXiv:1711.09846. In their words a member is *ready*
after `perturbation_interval`; *exploit* is truncation selection, by which one of the worst `quantile_fraction` copies
one of the best, drawn evenly; *explore* perturbs the copied hyperparameters by a factor, or draws them anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from random import Random
from typing import Any

from schedulers import mutation
from schedulers.base import (
    Candidates,
    Continue,
    Decision,
    Decisions,
    Exploit,
    Pause,
    Save,
    ScheduleContext,
    Trial,
    TrialScheduler,
)
from schedulers.objective import MODES, Objective, agree, number
from schedulers.population import Member, Population

Explore = Callable[[dict[str, Any]], dict[str, Any]]


class PopulationBasedTraining(TrialScheduler):
    """At every interval of its own each trial is ranked among the population by its latest results.

    One of the worst `quantile_fraction` becomes a copy of one of the best: it goes on from that one's checkpoint, which
    is made if there is none yet, with mutated hyperparameters, under its own id. Until it has trained for an interval
    it counts as one of the worst; members that are over are compared with no more. NaN counts for nothing; a trial that
    reports it copies one of the best, as though it were last.

    Mutated values stay what they may be: a number is multiplied by one of `perturbation_factors` and brought back into
    its domain; a value of a list moves to a neighbour; what ``choice`` chose is kept. Each is instead drawn anew with
    `resample_probability`. Keys that a trial's first configuration lacks are drawn. Every trial needs checkpoints.

    With more trials than room, each pauses after its interval, and the least trained goes on.

    With `synch` all trials pause at the same time, the interval's end, until the last of them has come or ended.

    Args:
        time_attr: what in a result tells how far a trial is; it only grows, and intervals are in its units.
        metric: what trials are compared by; the run's by default.
        mode: ``min`` or ``max``; the run's by default.
        perturbation_interval: how far a trial trains before it is compared again. Restarts cost; weights need time.
        burn_in_period: nothing is compared before.
        hyperparam_mutations: what is mutated, by key: a domain such as ``tune.loguniform(1e-4, 0.1)``, a list of values
            in their order, a function that returns a value, or a dictionary of these for a nested configuration.
        quantile_fraction: which part of the population copies, and is copied; 0 to 0.5.
        resample_probability: how often a value is drawn anew rather than perturbed.
        perturbation_factors: what numbers are multiplied by.
        custom_explore_fn: takes the mutated configuration and returns the one to use: for constraints.
        log_config: kept for Ray's sake; the experiment's journal has every change, see ``result.lineage()``.
        require_attrs: whether a result without `time_attr` or the metric is an error; otherwise it is passed over.
        synch: whether all wait for each other at the end of every interval.

    Raises:
        ValueError: arguments that cannot work, all of them named.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (the arguments that users know from Ray Tune)
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: mutation.Mutations | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: Sequence[float] = (1.2, 0.8),
        custom_explore_fn: Explore | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
    ) -> None:
        mutations = hyperparam_mutations or {}
        mistakes = [
            *_mistakes(mode, perturbation_interval, burn_in_period, quantile_fraction),
            *_mistakes_of_exploring(resample_probability, perturbation_factors, custom_explore_fn),
            *mutation.mistakes_of(mutations),
        ]
        if not mutations and custom_explore_fn is None and type(self) is PopulationBasedTraining:
            mistakes.append("there is nothing to mutate: give hyperparam_mutations, custom_explore_fn or both")
        if mistakes:
            raise ValueError(f"{type(self).__name__}: {'; '.join(mistakes)}")
        self.time_attr = time_attr
        self.metric = metric
        self.mode = mode
        self._interval = perturbation_interval
        self._burn_in = burn_in_period
        self._mutations = mutations
        self._fraction = quantile_fraction
        self._resample_probability = resample_probability
        self._factors = tuple(perturbation_factors)
        self._custom_explore = custom_explore_fn
        self._require_attrs = require_attrs
        self._synch = synch
        self._meeting = max(burn_in_period, perturbation_interval)

    def bind(self, context: ScheduleContext) -> None:
        super().bind(context)
        self._objective: Objective = agree(type(self).__name__, self.metric, self.mode, context)
        self.metric, self.mode = self._objective.metric, self._objective.mode
        self._population = Population(context.total_trials)
        self._arrived: set[str] = set()

    @property
    def changes_configs(self) -> bool:
        return True

    # What happens.

    def complete_config(self, trial_id: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return mutation.completed(config, self._mutations, Random(f"{self.context.seed}/first/{trial_id}"))

    def on_trial_add(self, trial: Trial) -> None:
        self._population.add(trial)

    def on_trial_start(self, trial: Trial) -> None:
        self._population.start(trial)
        self._arrived.discard(trial.trial_id)

    def on_trial_pause(self, trial: Trial) -> None:
        self._population.queue(self._population.members[trial.trial_id])

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision | Decisions:
        t, score = number(result.get(self.time_attr)), self._objective.score(result)
        if t is None or score is None:
            if self._require_attrs:
                names = [name for name in (self.time_attr, self._objective.metric) if number(result.get(name)) is None]
                raise ValueError(f"a result has no number {' and no '.join(names)}; require_attrs=False passes it over")
            return Continue()
        member = self._population.members[trial.trial_id]
        member.trial = trial
        # A copy of one that is behind, or an attempt that failed, counts its interval from where it is.
        member.t, member.due_from = t, min(member.due_from, t)
        self._observe(member, score)
        if t < self._due(member):
            self._arrived.discard(trial.trial_id)
            return Continue()
        place = self._population.rank(member, score)
        if self._synch:
            return self._arrive(member)
        member.due_from = t
        return self._turn(member, place)

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Within an interval nothing is decided; known ahead only when time is counted in iterations."""
        member = self._population.members[trial.trial_id]
        if self.time_attr != "training_iteration" or member.waits:
            return 0
        if self._synch:
            return math.ceil(self._meeting)
        return math.ceil(max(self._burn_in, min(member.due_from, iteration) + self._interval))

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> Decisions | None:
        self._population.remove(trial)
        self._arrived.discard(trial.trial_id)
        return self._meet() if self._synch else None

    def on_trial_error(self, trial: Trial) -> Decisions | None:
        return self.on_trial_complete(trial, None)

    def choose_trial_to_run(self, trials: Candidates) -> str | None:
        """The least trained of those that may go on, of equals who has waited longest; new ones first.

        A copy stands where its donor does. Were it chosen again and again, the donor would never come any further.
        """
        if trials.search_open and self._population.to_come:
            return None
        members = self._population.members
        free = [members[name] for name in trials.waiting if name not in self._arrived]
        paused = self._population.least_trained(trials.paused)
        # All wait for members that will never come, as when the search ended early: rather that than nothing.
        if paused and (paused.trial_id not in self._arrived or len(trials.paused) == len(members)):
            free.append(paused)
        return min(free, key=lambda one: one.order).trial_id if free else None

    # Asynchronous: each at its own time.

    def _due(self, member: Member) -> float:
        return self._meeting if self._synch else max(self._burn_in, member.due_from + self._interval)

    def _turn(self, member: Member, place: int | None) -> Decision:
        population = self._population
        crowded = population.is_crowded(but=member)
        if exploit := self._exploit(member, place):
            population.wait(member, waits=crowded)
            self._become(member, exploit)
            return Exploit(exploit.donor, exploit.config, exploit.reason, pause=crowded)
        if crowded:
            population.wait(member, waits=True)
            return Pause(f"has trained for its interval ({self.time_attr} {member.t:.10g}): others go on")
        is_best = place is not None and place < population.best(self._fraction)
        return Save() if is_best else Continue()

    # Synchronous: all together.

    def _arrive(self, member: Member) -> Decision | Decisions:
        self._population.wait(member, waits=True)
        self._arrived.add(member.trial_id)
        decisions = self._meet()
        if decisions is None:
            return Pause(f"waits for the others at {self.time_attr} {self._meeting:.10g}")
        self._population.wait(member, waits=False)
        return decisions

    def _meet(self) -> Decisions | None:
        """What all do when the last of them has arrived or ended; None as long as they wait for somebody."""
        members = self._population.members
        if not members or len(self._arrived) < len(members) or self._population.to_come:
            return None
        latest = max(one.t for one in members.values())
        self._meeting = max(self._meeting + self._interval, math.nextafter(latest, math.inf))
        self._arrived.clear()
        exploits: dict[str, Exploit] = {}
        for name, one in members.items():
            if exploit := self._exploit(one, self._population.place(one)):
                exploits[name] = exploit
        for name, exploit in exploits.items():
            self._become(members[name], exploit)
        return exploits

    # Exploit and explore.

    def _exploit(self, member: Member, place: int | None) -> Exploit | None:
        """One of the worst copies one of the best; whose result is NaN, and who has no place therefore, does, too.

        But who comes no further by that than before goes on: where every result is NaN from some point on, copies of
        those that stand before it would be made for ever.
        """
        member.turns += 1
        population = self._population
        if place is not None and place < population.ranked - population.quantile(self._fraction):
            return None
        best = population.best(self._fraction, at_least=int(place is None))
        if not best or (place is None and member.t <= member.lost_at):
            return None
        if place is None:
            member.lost_at = member.t
        rng = Random(f"{self.context.seed}/{member.trial_id}/{member.turns}")
        donor = population.at(rng.choice(range(best)))
        config = self._explore(member, donor, rng)
        changed = ", ".join(mutation.changes(donor.trial.config, config, self._mutations)) or "as it is"
        standing = "without a number" if place is None else f"{place + 1} of {population.ranked}"
        reason = f"{standing} at {self.time_attr} {member.t:.10g}: copies {donor.trial_id}, {changed}"
        return Exploit(donor.trial_id, config, reason)

    def _become(self, member: Member, exploit: Exploit) -> None:
        """Let a member stand where its donor does.

        Its own score is not known yet, and with its donor's it would hold the donor back once that is worse. It still
        takes one of the worst places: else each of them would make room there for the next, and where many wait for
        room hardly anything but copies would be left.
        """
        member.t = member.due_from = self._population.members[exploit.donor].t
        self._population.rank_last(member)
        if member.waits:
            self._population.queue(member)

    def _explore(self, member: Member, donor: Member, rng: Random) -> dict[str, Any]:
        config = mutation.mutated(donor.trial.config, self._mutations, self._resample_probability, self._factors, rng)
        return config if self._custom_explore is None else self._custom_explore(config)

    def _observe(self, member: Member, score: float) -> None:
        """Learn from a result of `member`, which stands at its time already."""


def _mistakes(mode: str | None, interval: float, burn_in: float, fraction: float) -> list[str]:
    mistakes = []
    if mode is not None and mode not in MODES:
        mistakes.append(f"mode is {mode!r}: use 'min' or 'max'")
    if not _is_finite(interval) or interval <= 0:
        mistakes.append(f"perturbation_interval is {interval!r}: it must be a number above 0")
    if not _is_finite(burn_in) or burn_in < 0:
        mistakes.append(f"burn_in_period is {burn_in!r}: it must be a number of at least 0")
    if not _is_finite(fraction) or not 0 <= fraction <= 0.5:
        mistakes.append(f"quantile_fraction is {fraction!r}: it must be between 0 and 0.5")
    return mistakes


def _mistakes_of_exploring(probability: float, factors: Sequence[float], explore: object) -> list[str]:
    mistakes = []
    if not _is_finite(probability) or not 0 <= probability <= 1:
        mistakes.append(f"resample_probability is {probability!r}: it must be between 0 and 1")
    if not factors or not all(_is_finite(factor) and factor > 0 for factor in factors):
        mistakes.append(f"perturbation_factors is {factors!r}: give numbers above 0")
    if explore is not None and not callable(explore):
        mistakes.append(f"custom_explore_fn is {explore!r}: give a function of a configuration")
    return mistakes


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
