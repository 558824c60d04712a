"""A machine in miniature: plays a scheduler against trials that report, fail and pause as a random generator says.

It keeps to what `schedulers/base.py` promises to schedulers, and to nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schedulers import Continue, Decision, Exploit, Pause, Save, ScheduleContext, Stop, TrialScheduler


@dataclass(frozen=True)
class StubTrial:
    trial_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=lambda: {"cpu": 1})


@dataclass(frozen=True)
class Standing:
    """The candidates at one moment."""

    waiting: dict[str, StubTrial] = field(default_factory=dict)
    paused: dict[str, StubTrial] = field(default_factory=dict)
    search_open: bool = False


@dataclass(frozen=True)
class Told:
    """One hook's call, and what it answered."""

    hook: str
    arguments: tuple[Any, ...]
    answer: Any


def bound(
    scheduler: TrialScheduler,
    *,
    metric: str = "accuracy",
    mode: str = "max",
    seed: int = 0,
    total_trials: int | None = None,
) -> Any:
    scheduler.bind(ScheduleContext(metric, mode, seed, total_trials))
    return scheduler


def trials(count: int) -> list[StubTrial]:
    return [StubTrial(f"t{number}") for number in range(count)]


def report(scheduler: TrialScheduler, trial: StubTrial, t: float, accuracy: float) -> Decision:
    return scheduler.on_trial_result(trial, {"training_iteration": t, "accuracy": accuracy})


class Driver:
    """Runs `count` trials in `slots` places, each for `length` iterations if it says so.

    `score` tells what a trial reports at an iteration.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        count: int,
        slots: int,
        score: Callable[[str, int], float],
        chance: Random,
        *,
        accidents: bool = True,
        length: int | None = None,
    ) -> None:
        self.scheduler, self.slots, self.score, self.chance = scheduler, slots, score, chance
        self.accidents = accidents
        self.length = length
        self.fresh: Iterator[StubTrial] = iter(trials(count))
        self.to_come = count
        self.waiting: dict[str, StubTrial] = {}
        self.paused: dict[str, StubTrial] = {}
        self.running: dict[str, StubTrial] = {}
        self.pausing: dict[str, StubTrial] = {}
        self.ended: dict[str, str] = {}
        self.iteration: dict[str, int] = {}
        self.told: dict[str, int] = {}
        self.history: list[Told] = []
        self.starts_of_paused: list[tuple[int, str]] = []
        self.copies: list[tuple[str, str]] = []

    def run(self, at_most: int = 100_000) -> None:
        for _ in range(at_most):
            self._fill()
            live = [*self.running.values(), *self.pausing.values()]
            if not live:
                while self.paused:
                    self._end(next(iter(self.paused.values())), "dismissed")
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
            if chosen is None and (new := next(self.fresh, None)) is not None:
                self.to_come -= 1
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
        chosen: str | None = self._tell(
            "choose_trial_to_run", Standing(dict(self.waiting), dict(self.paused), self.to_come > 0)
        )
        assert chosen is None or chosen in self.waiting or chosen in self.paused
        return chosen

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
                self._pause(trial)
        elif luck < 0.03:
            self._fail(trial)
        elif luck < 0.05 or (self.length and self.iteration.get(trial.trial_id, 0) >= self.length):
            self._end(trial, "returned")
        else:
            self._report(trial)

    def _pause(self, trial: StubTrial) -> None:
        self.paused[trial.trial_id] = trial
        self._tell("on_trial_pause", trial)

    def _fail(self, trial: StubTrial) -> None:
        del self.running[trial.trial_id]
        if self.chance.random() < 0.3:
            self.ended[trial.trial_id] = "error"
            self._decide(self._tell("on_trial_error", trial))
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
        self._decide({name: answer} if isinstance(answer, Decision) else answer)

    def _decide(self, decisions: Mapping[str, Decision] | None) -> None:
        """Carry out what was decided, as far as it concerns trials that are not over."""
        for name, decision in (decisions or {}).items():
            everyone = {**self.waiting, **self.paused, **self.running, **self.pausing}
            match decision:
                case _ if name not in everyone:
                    continue
                case Stop(reason):
                    self._end(everyone[name], reason)
                case Pause() if name in self.running:
                    self.pausing[name] = self.running.pop(name)
                case Exploit(donor, config):
                    self._copy(name, donor, config, pause=decision.pause)
                case other:
                    assert isinstance(other, Continue | Save | Pause)

    def _copy(self, name: str, donor: str, config: Mapping[str, Any], *, pause: bool) -> None:
        """Let a trial go on as another stood at its last result, here at once."""
        copy = StubTrial(name, dict(config))
        self.copies.append((name, donor))
        self.iteration[name] = self.told[name] = self.iteration.get(donor, 0)
        for group in (self.running, self.pausing, self.paused, self.waiting):
            if name in group:
                group[name] = copy
        if name in self.running:
            if pause:
                self._pause(self.running.pop(name))
            else:
                self._tell("on_trial_start", copy)

    def _end(self, trial: StubTrial, why: str) -> None:
        for group in (self.waiting, self.running, self.pausing, self.paused):
            group.pop(trial.trial_id, None)
        self.ended[trial.trial_id] = why
        self._decide(self._tell("on_trial_complete", trial, None))
