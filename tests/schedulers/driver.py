"""A machine in miniature: plays a scheduler against trials that report, fail and pause as a random generator says.

It keeps to what `schedulers/base.py` promises to schedulers, and to nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schedulers import Continue, Decision, Pause, ScheduleContext, Stop, TrialScheduler


@dataclass(frozen=True)
class StubTrial:
    trial_id: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """The candidates at one moment."""

    waiting: dict[str, StubTrial] = field(default_factory=dict)
    paused: dict[str, StubTrial] = field(default_factory=dict)
    search_open: bool = True


@dataclass(frozen=True)
class Told:
    """One hook's call, and what it answered."""

    hook: str
    arguments: tuple[Any, ...]
    answer: Any


def bound(scheduler: TrialScheduler, *, metric: str = "accuracy", mode: str = "max", seed: int = 0) -> Any:
    scheduler.bind(ScheduleContext(metric, mode, seed))
    return scheduler


def trials(count: int) -> list[StubTrial]:
    return [StubTrial(f"t{number}") for number in range(count)]


def report(scheduler: TrialScheduler, trial: StubTrial, t: float, accuracy: float) -> Decision:
    return scheduler.on_trial_result(trial, {"training_iteration": t, "accuracy": accuracy})


class Driver:
    """Runs `count` trials in `slots` places; `score` tells what a trial reports at an iteration."""

    def __init__(
        self,
        scheduler: TrialScheduler,
        count: int,
        slots: int,
        score: Callable[[str, int], float],
        chance: Random,
        *,
        accidents: bool = True,
    ) -> None:
        self.scheduler, self.slots, self.score, self.chance = scheduler, slots, score, chance
        self.accidents = accidents
        self.fresh = deque(trials(count))
        self.waiting: dict[str, StubTrial] = {}
        self.paused: dict[str, StubTrial] = {}
        self.running: dict[str, StubTrial] = {}
        self.pausing: dict[str, StubTrial] = {}
        self.ended: dict[str, str] = {}
        self.iteration: dict[str, int] = {}
        self.told: dict[str, int] = {}
        self.history: list[Told] = []
        self.starts_of_paused: list[tuple[int, str]] = []

    def run(self, at_most: int = 100_000) -> None:
        for _ in range(at_most):
            self._fill()
            live = [*self.running.values(), *self.pausing.values()]
            if not live:
                for trial in list(self.paused.values()):
                    self._end(trial, "dismissed")
                assert not self.waiting
                return
            self._happen(self.chance.choice(live))
        raise AssertionError("the run does not end")

    def _tell(self, hook: str, *arguments: Any) -> Any:
        answer = getattr(self.scheduler, hook)(*arguments)
        self.history.append(Told(hook, arguments, answer))
        return answer

    def _fill(self) -> None:
        while len(self.running) + len(self.pausing) < self.slots:
            chosen = self._choose()
            if chosen is None and self.fresh:
                new = self.fresh.popleft()
                self._tell("on_trial_add", new)
                self.waiting[new.trial_id] = new
                chosen = new.trial_id
            if chosen is None and not self.running and not self.pausing:
                chosen = next(iter(self.waiting), None)
            if chosen is None:
                return
            self._start(chosen)

    def _choose(self) -> str | None:
        if not self.waiting and not self.paused:
            return None
        chosen: str | None = self._tell("choose_trial_to_run", self._standing())
        assert chosen is None or chosen in self.waiting or chosen in self.paused
        return chosen

    def _standing(self) -> Standing:
        return Standing(dict(self.waiting), dict(self.paused), bool(self.fresh))

    def _start(self, trial_id: str) -> None:
        assert trial_id not in self.running
        assert trial_id not in self.pausing
        if trial_id in self.paused:
            self.starts_of_paused.append((len(self.history), trial_id))
        trial = self.waiting.pop(trial_id, None) or self.paused.pop(trial_id)
        self.running[trial_id] = trial
        self._tell("on_trial_start", trial)

    def _happen(self, trial: StubTrial) -> None:
        luck = self.chance.random() if self.accidents else 1.0
        if trial.trial_id in self.pausing:
            del self.pausing[trial.trial_id]
            if luck < 0.05:
                self._end(trial, "returned")
            else:
                self.paused[trial.trial_id] = trial
        elif luck < 0.03:
            self._fail(trial)
        elif luck < 0.05:
            self._end(trial, "returned")
        else:
            self._report(trial)

    def _fail(self, trial: StubTrial) -> None:
        del self.running[trial.trial_id]
        if self.chance.random() < 0.3:
            self.ended[trial.trial_id] = "error"
            self._carry_out(self._tell("on_trial_error", trial))
            return
        self.waiting[trial.trial_id] = trial
        lost = self.chance.randint(0, 2)
        self.iteration[trial.trial_id] = max(0, self.iteration.get(trial.trial_id, 0) - lost)

    def _report(self, trial: StubTrial) -> None:
        name = trial.trial_id
        self.iteration[name] = t = self.iteration.get(name, 0) + 1
        if t <= self.told.get(name, 0):
            return
        self.told[name] = t
        result: dict[str, Any] = {"training_iteration": t, "time_total_s": t / 2, "accuracy": self.score(name, t)}
        if self.accidents and self.chance.random() < 0.02:
            del result["accuracy"]
        answer = self._tell("on_trial_result", trial, result)
        decisions = dict(answer) if isinstance(answer, Mapping) else {name: answer}
        match decisions.pop(name, Continue()):
            case Stop(reason):
                self._end(trial, reason)
            case Pause():
                self.pausing[name] = self.running.pop(name)
            case other:
                assert other == Continue()
        self._carry_out(decisions)

    def _carry_out(self, decisions: Mapping[str, Decision] | None) -> None:
        """What was decided about other trials than the one that reported or ended."""
        for name, decision in (decisions or {}).items():
            assert isinstance(decision, Stop)
            trial = self.paused.get(name) or self.pausing.get(name)
            if trial is not None:
                self._end(trial, decision.reason)

    def _end(self, trial: StubTrial, why: str) -> None:
        for group in (self.running, self.pausing, self.paused):
            group.pop(trial.trial_id, None)
        self.ended[trial.trial_id] = why
        self._carry_out(self._tell("on_trial_complete", trial, None))
