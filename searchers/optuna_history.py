"""The trials an Optuna sampler learns from, and one trial at a time that it may write to.

The history is nothing but what it was told, in order: a suggestion is made on a draft that is thrown away. So a history
told again, in another process or after a restart, gives the same suggestions, whatever was asked in between.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.storages._in_memory import _StudyInfo
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from searchers.optuna_space import Parameter

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "qmc": "QMCSampler",
}
_STUDY = "audition"
_CONSTRAINT = "constraints:"  # how Optuna's `FrozenTrial.set_constraint` names it among the system attributes


@dataclass(frozen=True, slots=True)
class Notes:
    """What a sampler wrote down while it made a suggestion: NSGA-II its generations, CMA-ES its distribution."""

    trial: Mapping[str, Any] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)


class History:
    """Trials in the order in which they were added, each replaced as a whole when it changes."""

    def __init__(self, modes: Sequence[str], sampler: BaseSampler) -> None:
        names = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        self.directions = [names[mode] for mode in modes]
        self.trials: list[FrozenTrial] = []
        self._sampler = sampler
        self._study_notes: Mapping[str, Any] = {}
        self._numbers: dict[str, int] = {}
        self._provisional: set[str] = set()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._numbers

    def add(self, trial_id: str, parameters: Iterable[Parameter], notes: Notes | None = None) -> None:
        """A trial is running with `parameters`."""
        self._numbers[trial_id] = len(self.trials)
        self._study_notes = {**self._study_notes, **(notes.study if notes else {})}
        self.trials.append(_frozen(len(self.trials), TrialState.RUNNING, parameters, notes.trial if notes else {}))

    def extend(self, trial_id: str, parameters: Iterable[Parameter]) -> None:
        """A running trial was given more parameters."""
        trial = self.trials[self._numbers[trial_id]]
        known = self.parameters(trial_id)
        self._replace(_frozen(trial.number, trial.state, [*known, *parameters], trial.system_attrs, trial.values))

    def parameters(self, trial_id: str) -> list[Parameter]:
        """The parameters a trial has been given so far."""
        trial = self.trials[self._numbers[trial_id]]
        return [Parameter(name, value, trial.distributions[name]) for name, value in trial.params.items()]

    def reopen(self, trial_id: str) -> None:
        """A trial that ended goes on: it stands where it ended until it ends again, and runs if it had failed."""
        trial = self.trials[self._numbers[trial_id]]
        if trial.state is TrialState.FAIL:
            self._replace(_frozen(trial.number, TrialState.RUNNING, self.parameters(trial_id), trial.system_attrs))
        elif trial.state is TrialState.COMPLETE:
            self._provisional.add(trial_id)

    def complete(
        self, trial_id: str, values: Sequence[float] | None, constraints: Mapping[str, float] | None = None
    ) -> None:
        """A trial ended with `values`, or failed with None, which makes samplers overlook it.

        Of `constraints` each is kept when it is at most 0.
        """
        if self.trials[self._numbers[trial_id]].state is TrialState.RUNNING or trial_id in self._provisional:
            self._provisional.discard(trial_id)
            self._end(trial_id, values, constraints or {})

    def complete_for_now(self, trial_id: str, values: Sequence[float], constraints: Mapping[str, float]) -> None:
        """A trial stands at `values` and may go on: it counts as one that ended, until it does."""
        if self.trials[self._numbers[trial_id]].state is TrialState.RUNNING or trial_id in self._provisional:
            self._provisional.add(trial_id)
            self._end(trial_id, values, constraints)

    def _end(self, trial_id: str, values: Sequence[float] | None, constraints: Mapping[str, float]) -> None:
        trial = self.trials[self._numbers[trial_id]]
        notes = {name: note for name, note in trial.system_attrs.items() if not name.startswith(_CONSTRAINT)}
        notes |= {f"{_CONSTRAINT}{name}": excess for name, excess in constraints.items()}
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._replace(_frozen(trial.number, state, self.parameters(trial_id), notes, values))

    def _replace(self, trial: FrozenTrial) -> None:
        self.trials[trial.number] = trial

    def copy(self) -> History:
        """This history as it stands, which does not learn what comes later."""
        other = copy.copy(self)
        other.trials = self.trials[:]
        return other

    @property
    def keeps_notes(self) -> bool:
        """Whether the sampler's later suggestions need its notes on earlier ones. TPE's are for other processes."""
        return not isinstance(self._sampler, TPESampler | RandomSampler)

    def draft(
        self,
        seed: int,
        parameters: Iterable[Parameter] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> optuna.Trial:
        """A trial as if it were the next one, for a copy of the sampler set to `seed`.

        It already has `parameters`, and will have the values of `fixed` when it is asked for those.
        """
        storage = _DraftStorage(self.directions, self.trials, self._study_notes)
        sampler = copy.deepcopy(self._sampler)
        reseed(sampler, seed)
        study = optuna.load_study(study_name=_STUDY, storage=storage, sampler=sampler, pruner=NopPruner())
        attributes = {"fixed_params": dict(fixed)} if fixed else {}  # where Optuna's own enqueue_trial keeps them
        blank = _frozen(len(self.trials), TrialState.RUNNING, parameters, attributes)
        return optuna.Trial(study, storage.create_new_trial(0, blank))

    def notes_of(self, draft: optuna.Trial) -> Notes:
        """What the sampler wrote down on `draft`."""
        storage = draft.storage
        return Notes(dict(storage.get_trial(len(self.trials)).system_attrs), dict(storage.get_study_system_attrs(0)))


class _DraftStorage(InMemoryStorage):
    """A study that starts with given trials, which are neither copied nor written to. Creating one logs nothing."""

    def __init__(
        self, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial], notes: Mapping[str, Any]
    ) -> None:
        super().__init__()
        study = _StudyInfo(_STUDY, list(directions))
        study.trials.extend(trials)
        study.system_attrs.update(notes)
        self._studies[0] = study
        self._study_name_to_id[_STUDY] = 0
        self._prev_waiting_trial_number[0] = len(trials)
        self._trial_id_to_study_id_and_number = {number: (0, number) for number in range(len(trials))}
        self._max_study_id, self._max_trial_id = 0, len(trials) - 1


def make_sampler(sampler: str | BaseSampler | None, *, objectives: int, varying: bool, seed: int) -> BaseSampler:
    """A sampler by its name, TPE by default; `varying` says that not every trial has the same parameters.

    TPE draws all parameters jointly for one objective, those of each branch of a varying space together, and one by one
    for several objectives, as is Optuna's own default.
    """
    if isinstance(sampler, BaseSampler):
        return sampler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if sampler in (None, "tpe"):
            jointly = objectives == 1
            return TPESampler(multivariate=jointly, group=jointly and varying, constant_liar=True, seed=seed)
        made: BaseSampler = getattr(optuna.samplers, SAMPLERS[str(sampler)])(seed=seed)
        return made


def reseed(sampler: BaseSampler, seed: int) -> None:
    """Set the random generators of `sampler`, and of the samplers within it, to `seed`."""
    for generator in _generators(sampler):
        generator.seed(seed)


def _generators(sampler: BaseSampler) -> Iterator[numpy.random.RandomState]:
    for part in vars(sampler).values():
        if isinstance(part, BaseSampler):
            yield from _generators(part)
        elif isinstance(generator := getattr(part, "rng", part), numpy.random.RandomState):
            yield generator


def _frozen(
    number: int,
    state: TrialState,
    parameters: Iterable[Parameter],
    system_attrs: Mapping[str, Any],
    values: Sequence[float] | None = None,
) -> FrozenTrial:
    distributions: dict[str, BaseDistribution] = {}
    params: dict[str, Any] = {}
    for parameter in parameters:
        params[parameter.name], distributions[parameter.name] = parameter.value, parameter.distribution
    return FrozenTrial(
        number=number,
        state=state,
        value=None,
        values=values,
        datetime_start=None,  # no sampler looks at the time, and it would differ from run to run
        datetime_complete=None,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs=dict(system_attrs),
        intermediate_values={},
        trial_id=number,
    )
