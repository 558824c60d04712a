"""Trains once as a member of a population was trained: the same configurations, from the same iterations on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from schedulers.base import NEVER, Continue, Decision, Exploit, Trial, TrialScheduler

Steps = list[tuple[int, dict[str, Any]]]


class PopulationBasedTrainingReplay(TrialScheduler):
    """Changes a trial's configuration at recorded iterations; the trial saves a checkpoint and goes on from it.

    For one trial, without other members: what a population found, on more data or with another seed.

    Args:
        policy: the steps in order, each an iteration and the configuration from there on: ``result.lineage()`` of the
            member, or pairs of your own. A step at 0 is the first configuration. Lines of Ray's ``pbt_policy_*.txt``
            do as well: ``Path(...).read_text().splitlines()``.

    Raises:
        ValueError: they are no such steps; the first that is not is shown.
    """

    def __init__(self, policy: Sequence[Any]) -> None:
        lines = bool(policy) and all(isinstance(one, str) for one in policy)
        self._steps = _steps_of_lines(policy) if lines else _steps(policy)
        self._taken: dict[str, int] = {}

    def complete_config(self, trial_id: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        first, recorded = self._steps[0]
        return {**config, **recorded} if first == 0 else config

    def on_trial_add(self, trial: Trial) -> None:
        self._taken[trial.trial_id] = 1 if self._steps[0][0] == 0 else 0

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> Decision:
        taken = self._taken[trial.trial_id]
        due = [step for step in self._steps[taken:] if step[0] <= result["training_iteration"]]
        if not due:
            return Continue()
        self._taken[trial.trial_id] = taken + len(due)
        iteration, config = due[-1]
        return Exploit(trial.trial_id, {**trial.config, **config}, f"as recorded at iteration {iteration}")

    def free_until(self, trial: Trial, iteration: int) -> int:
        """Until the next step nothing is decided."""
        following = self._steps[self._taken[trial.trial_id] :]
        return following[0][0] if following else NEVER

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any] | None) -> None:
        self._taken.pop(trial.trial_id, None)

    def on_trial_error(self, trial: Trial) -> None:
        self._taken.pop(trial.trial_id, None)


def _steps(policy: Sequence[Any]) -> Steps:
    found: Steps = []
    for step in policy:
        try:
            iteration, config = step[0], dict(step[1])
        except (TypeError, ValueError, IndexError, KeyError):
            raise ValueError(f"policy: {step!r} is no pair of an iteration and a configuration") from None
        earliest = found[-1][0] if found else 0
        if not isinstance(iteration, int) or isinstance(iteration, bool) or iteration < earliest:
            raise ValueError(f"policy: {iteration!r} is no iteration from {earliest} on")
        found.append((iteration, config))
    if not found:
        raise ValueError("policy is empty: give result.lineage() or pairs of an iteration and a configuration")
    return found


def _steps_of_lines(lines: Sequence[str]) -> Steps:
    """The steps in a file of Ray's: each line has who copied, whom, both iterations, the donor's and the new values.

    What led to the last line is the donor's own line before, and so on; what others did in between is left out.
    """
    found: Steps = []
    wanted: str | None = None
    first: dict[str, Any] = {}
    for line in reversed([line for line in lines if line.strip()]):
        try:
            copy, donor, _, iteration, before, after = json.loads(line)
            step = int(iteration), dict(after)
            first = dict(before) if wanted in (None, copy) else first
        except (ValueError, TypeError):
            raise ValueError(f"policy: {line!r} is no line of a pbt_policy file") from None
        if wanted not in (None, copy):
            break
        wanted = donor
        found.append(step)
    return _steps([(0, first), *reversed(found)])
