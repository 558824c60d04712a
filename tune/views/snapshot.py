"""An experiment as its journal had it at one moment; read bit by bit, as it is asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from tune.machine.events import Failure, SwitchedOff
from tune.machine.trial import AUTOMATIC, TrialState
from tune.storage import chain, journal, mark
from tune.views import ranking, reading
from tune.views.objectives import Objectives
from tune.views.reading import TrialRecord

# So many trials' histories are read one by one; who asks for more gets all of them in one pass.
_SINGLE_READS = 32


class Snapshot:
    """What the views know of an experiment. What is large is read when first asked for, and kept.

    `checked` is how far the journal is known to be whole: the last row's position and checksum.
    """

    def __init__(self, directory: Path, earlier: Snapshot | None = None) -> None:
        """Read the journal in `directory`; what an `earlier` snapshot of it has checked is not checked again.

        Raises:
            NotAnExperimentError: there is none.
            JournalCorruptError: it was changed, or rows are missing.
        """
        self.directory = directory
        acknowledged = mark.reached(directory)  # before the journal is opened: it may be growing
        with reading.reading(directory) as connection:
            self.checked: tuple[int, bytes] = chain.verify(connection, *(earlier.checked if earlier else ()))
            journal.check_end(directory, acknowledged, self.checked)
            self._position, self._over = reading.last_position(connection)
            self.facts = journal.facts(connection)
            self.trials = reading.read_trials(connection)
        self.by_id = {trial.trial_id: trial for trial in self.trials}
        self._read: dict[str, list[dict[str, Any]]] = {}

    @property
    def current(self) -> bool:
        """Whether nothing happened since. A run that had finished is not looked at again."""
        if self._over:
            return True
        with journal.reading(self.directory) as connection:
            return reading.last_position(connection)[0] == self._position

    @cached_property
    def last_metrics(self) -> dict[str, dict[str, Any]]:
        """What each trial reported last, by trial id; without the automatic metrics."""
        with reading.reading(self.directory) as connection:
            return reading.read_last_metrics(connection)

    @cached_property
    def objectives(self) -> Objectives:
        """What the experiment's trials are compared by."""
        return Objectives.of(self.facts)

    @cached_property
    def compared(self) -> dict[str, dict[str, Any]]:
        """What trials are compared by: what each reported last, with the automatic metrics if one of them decides."""
        deciding = [*self.objectives.modes, *(one.metric for one in self.objectives.constraints)]
        needs_automatic = any(name.partition("/")[0] in AUTOMATIC for name in deciding)
        return self.last_results if needs_automatic else self.last_metrics

    @cached_property
    def front(self) -> dict[str, None]:
        """The trials whose last results are on the Pareto front, in their order."""
        known = self.compared
        return dict.fromkeys(self.objectives.front({name: known[name] for name in self.by_id if name in known}))

    @cached_property
    def histories(self) -> dict[str, list[dict[str, Any]]]:
        """Every result that counts, oldest first, by trial id, with the automatic metrics."""
        with reading.reading(self.directory) as connection:
            found = reading.read_histories(connection)
        return {trial.trial_id: self._finished(trial, found.get(trial.trial_id, [])) for trial in self.trials}

    @cached_property
    def last_results(self) -> dict[str, dict[str, Any]]:
        """The last result of each trial that has one, by trial id, with the automatic metrics."""
        with reading.reading(self.directory) as connection:
            found = reading.read_histories(connection, last_only=True)
        return {name: self._finished(self.by_id[name], rows)[-1] for name, rows in found.items() if name in self.by_id}

    @cached_property
    def failures(self) -> dict[str, Failure]:
        """Why trials failed for good, by trial id."""
        with reading.reading(self.directory) as connection:
            found = reading.read_failures(connection)
        return {trial.trial_id: found[trial.trial_id] for trial in self.trials if trial.state == TrialState.ERROR}

    @cached_property
    def switched_off(self) -> list[SwitchedOff]:
        """What raised too often in the last run and was asked, or told, nothing more."""
        with reading.reading(self.directory) as connection:
            return reading.read_switched_off(connection)

    def values(self, metric: str) -> dict[str, list[float]]:
        """Every value of `metric` that counts, oldest first, of the trials that have any."""
        if metric.partition("/")[0] in AUTOMATIC or '"' in metric or "\\" in metric:
            found = {name: [ranking.metric_of(one, metric) for one in rows] for name, rows in self.histories.items()}
            numbers = {name: [value for value in values if value is not None] for name, values in found.items()}
            return {name: values for name, values in numbers.items() if values}
        with reading.reading(self.directory) as connection:
            return reading.read_values(connection, metric)

    def history(self, trial_id: str) -> list[dict[str, Any]]:
        """One trial's results."""
        if "histories" not in self.__dict__ and len(self._read) < _SINGLE_READS:
            if trial_id not in self._read:
                with reading.reading(self.directory) as connection:
                    found = reading.read_histories(connection, [trial_id]).get(trial_id, [])
                self._read[trial_id] = self._finished(self.by_id[trial_id], found)
            return self._read[trial_id]
        return self.histories[trial_id]

    def last_result(self, trial_id: str) -> dict[str, Any]:
        """One trial's last result, empty when it has none."""
        if "histories" in self.__dict__ or (len(self._read) < _SINGLE_READS and "last_results" not in self.__dict__):
            return next(reversed(self.history(trial_id)), {})
        return self.last_results.get(trial_id, {})

    @staticmethod
    def _finished(trial: TrialRecord, history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Mark the last result of a trial that will report no more."""
        if history and trial.state == TrialState.TERMINATED:
            history[-1]["done"] = True
        return history
