"""What one decision of each scheduler costs, in microseconds, when 100,000 trials have been there before.

A population is of those that live: 32, or in the case "all live" every trial, of which all but 32 are paused and each
pauses after every report. PB2's mean holds the Gaussian process that it asks for each copy; it is measured after fewer
trials, since it looks at the last 200 changes whatever was before, and 100,000 would be most of an hour.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import process_time
from typing import Any

from schedulers import Exploit, Pause, ScheduleContext, Stop, Trial, TrialScheduler, create_scheduler

SLOTS, EPOCHS, LAST = 32, 12, 2000
MOST = {"pb2": 500}
"""Trials at most, of those whose decisions cost alike after that many."""

POPULATION = {"time_attr": "training_iteration", "perturbation_interval": 4}

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fifo": ("fifo", {}),
    "asha stopping": ("asha", {"max_t": 81, "reduction_factor": 3}),
    "asha promotion": ("asha", {"max_t": 81, "reduction_factor": 3, "type": "promotion"}),
    "hyperband": ("hyperband", {"max_t": 81}),
    "hb_bohb": ("hb_bohb", {"max_t": 81}),
    "median": ("median_stopping_rule", {"time_attr": "training_iteration", "grace_period": 1}),
    "pasha": ("pasha", {"max_t": 81}),
    "auto": ("auto", {"max_t": 81}),
    "pbt": ("pbt", {**POPULATION, "hyperparam_mutations": {"lr": [1, 2, 3, 4]}}),
    "pb2": ("pb2", {**POPULATION, "hyperparam_bounds": {"lr": [1, 4]}}),
}
LIVING: dict[str, tuple[str, dict[str, Any]]] = {
    "pbt, all live": ("pbt", {**SCHEDULERS["pbt"][1], "perturbation_interval": 1}),
}
TRENDS = {"level": 0.0, "improving": 1.0, "worsening": -1.0}
"""By how much each trial is better than the one before, beside chance."""


@dataclass
class One:
    """A trial, as far as a scheduler sees it."""

    trial_id: str
    quality: float
    iteration: int = 0
    config: Mapping[str, Any] = field(default_factory=lambda: {"lr": 2})


@dataclass
class Standing:
    """The candidates."""

    waiting: dict[str, Trial] = field(default_factory=dict)
    paused: dict[str, Any] = field(default_factory=dict)
    search_open: bool = True


class Run:
    """Trials in `SLOTS` places, and how long the scheduler took over them."""

    def __init__(self, scheduler: TrialScheduler, trend: float) -> None:
        self.scheduler, self.trend = scheduler, trend
        self.chance, self.standing, self.number = Random(0), Standing(), 0
        self.running: deque[One] = deque()
        self.results: list[float] = []
        self.total_s = 0.0

    def until(self, trials: int) -> None:
        """Go on until so many trials have begun, and forget the times of before."""
        self.results, self.total_s = [], 0.0
        while self.number < trials:
            self.go_on()

    def for_results(self, count: int) -> None:
        """Go on for so many results, and forget the times of before."""
        self.results, self.total_s = [], 0.0
        while len(self.results) < count:
            self.go_on()

    def go_on(self) -> None:
        while len(self.running) < SLOTS:
            self.begin()
        self.report(self.running.popleft())

    def begin(self) -> None:
        chosen = self.call("choose_trial_to_run", self.standing)
        if chosen:
            trial = self.standing.paused.pop(chosen)
        else:
            trial = One(f"t{self.number}", self.number * self.trend + self.chance.random())
            self.number += 1
            self.call("on_trial_add", trial)
        self.call("on_trial_start", trial)
        self.running.append(trial)

    def report(self, trial: One) -> None:
        trial.iteration += 1
        result = {"training_iteration": trial.iteration, "accuracy": trial.quality + self.chance.random() / 10}
        answer = self.call("on_trial_result", trial, result)
        decisions = dict(answer) if isinstance(answer, Mapping) else {trial.trial_id: answer}
        own = decisions.pop(trial.trial_id, None)
        self.carry_out(decisions)
        if isinstance(own, Exploit):
            trial.config = own.config
        if isinstance(own, Pause) or (isinstance(own, Exploit) and own.pause):
            self.standing.paused[trial.trial_id] = trial
            self.call("on_trial_pause", trial)
            return
        if isinstance(own, Exploit):
            self.call("on_trial_start", trial)
        if isinstance(own, Stop) or trial.iteration >= EPOCHS:
            self.end(trial)
        else:
            self.running.append(trial)

    def carry_out(self, decisions: Mapping[str, Any]) -> None:
        for trial_id, decision in decisions.items():
            if isinstance(decision, Stop) and trial_id in self.standing.paused:
                self.end(self.standing.paused.pop(trial_id))

    def end(self, trial: One) -> None:
        self.carry_out(self.call("on_trial_complete", trial, None) or {})

    def call(self, hook: str, *arguments: Any) -> Any:
        method = getattr(self.scheduler, hook)
        begun = process_time()
        answer = method(*arguments)
        took = process_time() - begun
        self.total_s += took
        if hook == "on_trial_result":
            self.results.append(took)
        return answer


def measure(name: str, arguments: dict[str, Any], trend: float, trials: int, *, all_live: bool) -> dict[str, float]:
    """During the last trials: the median of what a result costs, and the mean of all hooks for each result."""
    scheduler = create_scheduler(name, **arguments)
    scheduler.bind(ScheduleContext("accuracy", "max", 0, trials if all_live else None))
    run = Run(scheduler, trend)
    run.until(trials)
    if all_live:
        run.for_results(LAST)
    else:
        run.until(trials + LAST)
    return {
        "result_us": round(median(run.results) * 1e6, 1),
        "all_hooks_mean_us": round(run.total_s / len(run.results) * 1e6, 1),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    known = SCHEDULERS | LIVING
    parser.add_argument("--only", nargs="+", choices=known, default=list(known))
    chosen = parser.parse_args()
    trials = chosen.trials
    cases = {
        f"{title}/{name}": measure(*known[title], trend, min(trials, MOST.get(title, trials)), all_live=title in LIVING)
        for title in chosen.only
        for name, trend in TRENDS.items()
    }
    print(json.dumps({"benchmark": "scheduler_decisions", "trials": trials, **cases}))


if __name__ == "__main__":
    main()
