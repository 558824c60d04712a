"""An experiment's trials in the order, and with the columns, that a person asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tune.errors import InvalidArgumentError, nearest
from tune.machine.trial import AUTOMATIC
from tune.views import marks, ranking
from tune.views.reading import TrialRecord
from tune.views.result import Result
from tune.views.snapshot import Snapshot
from tune.views.varying import Varying
from tune.views.wording import duration_text, flatten

_MOST_METRICS = 4
_LOOKED_AT = 1000
_TIME, _REASON = "time", "reason"
_REASONS_FOR = 100  # each is a question of its own to the journal


class Trials:
    """The trials of a snapshot, compared by the run's metric unless something else is named.

    Comparing needs each trial's last report only; whole histories are read for what is shown.
    """

    def __init__(self, snapshot: Snapshot, metric: str | None, mode: str | None) -> None:
        self._snapshot = snapshot
        self._metric, self._mode = metric, mode

    def check(self, names: Iterable[str]) -> None:
        """Refuse names of columns that no trial has.

        Raises:
            InvalidArgumentError: names the nearest column, or all.
        """
        some = self._snapshot.trials[:_LOOKED_AT]
        plain = dict.fromkeys(name for one in some for name in (*flatten(one.config()), *self._last(one)))
        known = {*plain, *(f"config/{name}" for name in plain), *AUTOMATIC, _TIME, _REASON, self._metric}
        known |= {*marks.columns(self._snapshot)}
        for name in names if some else ():
            if name not in known:
                hint = nearest(name, plain) or f"; there are {', '.join(plain)}"
                raise InvalidArgumentError([f"no trial has {name!r}{hint}"])

    def ordered(self, sort: str | None, *, reverse: bool) -> list[TrialRecord]:
        """The best first by the run's metric, by anything else from small to large; what has none comes last.

        By the run's metric what breaks constraints comes after all that keeps them.
        """
        trials, by = self._snapshot.trials, sort or self._metric
        if by is None:
            return trials[::-1] if reverse else list(trials)
        values = {one.trial_id: self._value(one, by) for one in trials}
        have = [one for one in trials if values[one.trial_id] is not None]
        if by == self._metric and self._mode:
            mode = self._mode
            have.sort(key=lambda one: self._worth(one, values[one.trial_id], mode), reverse=reverse)
        else:
            have.sort(key=lambda one: _orderly(values[one.trial_id]), reverse=reverse)
        return [*have, *(one for one in trials if values[one.trial_id] is None)]

    def columns(self, shown: Sequence[TrialRecord]) -> list[str]:
        """What is worth showing: marks, the run's metrics and the first few others, the parameters that differ."""
        own = [*([self._metric] if self._metric else []), *self._snapshot.objectives.modes]
        reported: dict[str, None] = dict.fromkeys(own)
        for one in shown:
            last = self._last(one)
            reported |= dict.fromkeys(name for name, value in last.items() if isinstance(value, int | float))
        varying = Varying()
        for one in self._snapshot.trials[:_LOOKED_AT]:
            varying.add(one.config())
        reasons = len(shown) <= _REASONS_FOR and any(self.reason(one) for one in shown)
        metrics = list(reported)[: max(_MOST_METRICS, len(own))]
        names = [*marks.columns(self._snapshot), "training_iteration", _TIME, *metrics, *varying.names]
        return [*names, _REASON] if reasons else names

    def cells(self, trial: TrialRecord, names: Iterable[str]) -> list[Any]:
        """A trial's values of the columns called `names`."""
        whole = self._whole(trial)
        return [self.reason(trial) if name == _REASON and name not in whole else whole.get(name) for name in names]

    def reason(self, trial: TrialRecord) -> str | None:
        """Why the trial was stopped, or what it failed with, in a line."""
        lines = Result(self._snapshot, trial).reason.splitlines()
        return lines[0] if lines else None

    def _whole(self, trial: TrialRecord) -> dict[str, Any]:
        """All that can be shown of a trial: parameters, also as ``config/NAME``, metrics, and its time for people."""
        history = self._snapshot.history(trial.trial_id)
        metrics = flatten(history[-1]) if history else {}
        if history:
            metrics.setdefault(_TIME, duration_text(metrics["time_total_s"]))
        config = flatten(trial.config())
        marked = marks.cells(self._snapshot, trial.trial_id)
        return {**marked, **{f"config/{name}": value for name, value in config.items()}, **config, **metrics}

    def _worth(self, trial: TrialRecord, value: float, mode: str) -> tuple[float, float]:
        last = self._snapshot.compared.get(trial.trial_id, {})
        return self._snapshot.objectives.violation(last), -ranking.ascending(value, mode)

    def _value(self, trial: TrialRecord, name: str) -> Any:
        last = self._last(trial)
        if name == self._metric:
            return ranking.metric_of(last, name)
        if name in AUTOMATIC or name == _TIME:
            return self._whole(trial).get("time_total_s" if name == _TIME else name)
        config = flatten(trial.config())
        return last.get(name, config.get(name.removeprefix("config/")))

    def _last(self, trial: TrialRecord) -> dict[str, Any]:
        return flatten(self._snapshot.last_metrics.get(trial.trial_id, {}))


def _orderly(value: Any) -> tuple[bool, float, str]:
    """Numbers before texts, each in their own order."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, "" if is_number else str(value)
