"""Population based training by its definition: at every question it looks through all members."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.schedulers.driver import Standing, StubTrial


@dataclass(eq=False)
class Plain:
    """A member."""

    name: str
    number: int
    t: float = 0.0
    score: float | None = None
    due_from: float = 0.0
    turns: int = 0
    started: int = 0
    waits: bool = False
    is_copy: bool = False
    lost_at: float = -math.inf


class PlainPopulation:
    """Answers as the scheduler does, in words: whom a trial copies, or ``Pause``, ``Save`` or ``Continue``."""

    def __init__(self, *, total: int, interval: float, fraction: float, synch: bool) -> None:
        self.total, self.interval, self.fraction, self.synch = total, interval, fraction, synch
        self.members: dict[str, Plain] = {}
        self.seen = self.starts = 0
        self.meeting = interval

    def on_trial_add(self, trial: StubTrial) -> None:
        self.members[trial.trial_id] = Plain(trial.trial_id, self.seen)
        self.seen += 1

    def on_trial_start(self, trial: StubTrial) -> None:
        self.starts += 1
        member = self.members[trial.trial_id]
        member.started, member.waits = self.starts, False

    def on_trial_pause(self, trial: StubTrial) -> None:
        pass

    def on_trial_complete(self, trial: StubTrial, result: object = None) -> Any:
        del self.members[trial.trial_id]
        return self.meet() if self.synch else None

    on_trial_error = on_trial_complete

    def on_trial_result(self, trial: StubTrial, result: Mapping[str, Any]) -> Any:
        if "accuracy" not in result:
            return "Continue"
        member = self.members[trial.trial_id]
        member.t = result["training_iteration"]
        member.due_from = min(member.due_from, member.t)
        if member.t < (self.meeting if self.synch else member.due_from + self.interval):
            return "Continue"
        member.is_copy = False
        member.score = -math.inf if math.isnan(result["accuracy"]) else result["accuracy"]
        return self.arrive(member) if self.synch else self.turn(member)

    def choose_trial_to_run(self, standing: Standing) -> str | None:
        if standing.search_open and self.total > self.seen:
            return None
        startable = [self.members[name] for name in (*standing.waiting, *standing.paused)]
        free = [one for one in startable if not (self.synch and self.arrived(one))]
        if not free and len(standing.paused) == len(self.members):
            free = startable
        return min(free, key=lambda one: (one.t, one.started, one.number)).name if free else None

    def turn(self, member: Plain) -> str:
        member.due_from = member.t
        others = [one for one in self.members.values() if one is not member]
        crowded = self.total > self.seen or any(one.waits or not one.started for one in others)
        ranked, best = self.ranked()
        if donor := self.donor(member, ranked, best):
            member.waits = crowded
            self.copy(member, donor)
            return donor.name
        member.waits = member.waits or crowded
        return "Pause" if crowded else "Save" if member in ranked[:best] else "Continue"

    def arrive(self, member: Plain) -> Any:
        member.waits = True
        decisions = self.meet()
        member.waits = decisions is None
        return "Pause" if decisions is None else decisions

    def meet(self) -> dict[str, str] | None:
        members = list(self.members.values())
        if not members or not all(map(self.arrived, members)) or self.total > self.seen:
            return None
        self.meeting = max([self.meeting + self.interval, *(math.nextafter(one.t, math.inf) for one in members)])
        ranked, best = self.ranked()
        copies = {one: donor for one in members if (donor := self.donor(one, ranked, best))}
        for one, donor in copies.items():
            self.copy(one, donor)
        return {one.name: donor.name for one, donor in copies.items()}

    def arrived(self, member: Plain) -> bool:
        return member.waits and member.t >= self.meeting

    def ranked(self) -> tuple[list[Plain], int]:
        """Those that are compared, best first and copies last, and how many of them are the best, or the worst."""
        scored = [one for one in self.members.values() if one.score is not None and math.isfinite(one.score)]
        copies = [one for one in self.members.values() if one.is_copy]
        ranked = [*sorted(scored, key=lambda one: -(one.score or 0.0)), *copies]
        return ranked, min(math.ceil(len(ranked) * self.fraction), len(ranked) // 2)

    def donor(self, member: Plain, ranked: list[Plain], best: int) -> Plain | None:
        member.turns += 1
        if member not in ranked:
            best = max(best, 1)
        elif member not in ranked[len(ranked) - best :]:
            return None
        candidates = [one for one in ranked[:best] if not one.is_copy]
        if member not in ranked and candidates:
            if member.t <= member.lost_at:
                return None
            member.lost_at = member.t
        return Random(f"0/{member.name}/{member.turns}").choice(candidates) if candidates else None

    @staticmethod
    def copy(member: Plain, donor: Plain) -> None:
        member.t = member.due_from = donor.t
        member.score, member.is_copy = None, True
