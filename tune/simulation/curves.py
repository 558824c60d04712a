"""Recorded learning curves: which column of a table is what, and what each configuration reported."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from searchers.choices import Choice
from searchers.domain import Domain, Float, Integer
from tune.errors import InvalidArgumentError, nearest

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Curve = Sequence[tuple[dict[str, Any], float]]
"""What a configuration reports, epoch by epoch: its metrics, and the seconds that the epoch took."""

DECADES = 2
"""A numeric column that spans so many powers of ten is taken to be logarithmic."""

_FEW = 8
_NAMES = {
    "config": ("config", "config_id", "configuration", "trial", "trial_id"),
    "epoch": ("epoch", "training_iteration", "iteration", "step", "budget"),
    "seconds": ("seconds", "time_this_iter_s", "runtime"),
}


class Source(Protocol):
    """Where a simulation has its curves from: a table, or a function in closed form."""

    @property
    def space(self) -> Mapping[str, Any]:
        """The search space when none is given."""
        ...

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """What `config` reports."""
        ...

    def best(self, metric: str, mode: str) -> float | None:
        """The best value of `metric` that any configuration reports; None when that is not known."""
        ...


class Curves:
    """A table with one row for each configuration and epoch, as a CSV file (gzipped or not) or a pandas DataFrame.

    What a column is follows from its name and its values unless it is given: the configuration's number, the epoch and
    the seconds that this epoch took by their usual names (``config``, ``epoch``, ``seconds``); the others are
    hyperparameters where they never change within a configuration, and metrics where they do.

    Args:
        table: a path, or a DataFrame.
        config: the column that tells configurations apart.
        epoch: the column that orders a configuration's rows.
        seconds: the column with the seconds of each epoch (not summed up), or one number for all.
        hyperparameters: the columns that make a configuration.

    Raises:
        InvalidArgumentError: lists all that is missing or does not go together.
    """

    def __init__(
        self,
        table: str | os.PathLike[str] | DataFrame,
        *,
        config: str | None = None,
        epoch: str | None = None,
        seconds: str | float | None = None,
        hyperparameters: Sequence[str] | None = None,
    ) -> None:
        frame = _read(table)
        given = {"config": config, "epoch": epoch, "seconds": seconds}
        columns = _columns(list(frame.columns), given, hyperparameters)
        frame = frame.sort_values([columns["config"], columns["epoch"]], kind="stable")
        runs = frame.groupby(columns["config"], sort=True)
        others = [name for name in frame.columns if name not in columns.values()]
        constant = set(hyperparameters or _constant(runs, others))
        self.hyperparameters = [name for name in others if name in constant]
        self.metrics = [name for name in others if name not in constant]
        if mistakes := list(self._mistakes(frame, runs, columns)):
            raise InvalidArgumentError(mistakes)
        self._frame = frame
        self._starts = runs.size().cumsum().tolist()
        self._epoch, self._seconds = columns["epoch"], columns["seconds"]
        first = frame.groupby(columns["config"], sort=True)[self.hyperparameters].first()
        self.configs: list[dict[str, Any]] = [
            dict(zip(self.hyperparameters, values, strict=True))
            for values in zip(*(first[name].tolist() for name in self.hyperparameters), strict=True)
        ]
        self._numbers = {self._key(one): number for number, one in enumerate(self.configs)}
        if len(self._numbers) < len(self.configs):
            raise InvalidArgumentError([self._why_not_distinct()])
        self._curves: dict[int, Curve] = {}
        self.space: dict[str, Any] = {name: _domain(first[name]) for name in self.hyperparameters}

    def __len__(self) -> int:
        return len(self.configs)

    def number(self, config: Mapping[str, Any]) -> int | None:
        """Which configuration of the table `config` is; None when it is none of them."""
        return self._numbers.get(self._key(config))

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """What the configuration reported, from its first epoch to its last.

        Raises:
            KeyError: it is none of the table's.
        """
        number = self.number(config)
        if number is None:
            raise KeyError(f"{dict(config)} is none of the table's {len(self)} configurations")
        if number not in self._curves:
            self._curves[number] = self._read_curve(number)
        return self._curves[number]

    def best(self, metric: str, mode: str) -> float:
        """The best value of `metric` in the table.

        Raises:
            InvalidArgumentError: the table has no such metric.
        """
        if metric not in self.metrics:
            known = ", ".join(self.metrics)
            raise InvalidArgumentError([f"the table has no metric {metric!r}{nearest(metric, self.metrics)} ({known})"])
        values = self._frame[metric]
        return float(values.max() if mode == "max" else values.min())

    def _read_curve(self, number: int) -> Curve:
        rows = self._frame.iloc[self._starts[number - 1] if number else 0 : self._starts[number]]
        names = [self._epoch, *self.metrics]
        results = zip(*(rows[name].tolist() for name in names), strict=True)
        seconds = [self._seconds] * len(rows) if isinstance(self._seconds, float) else rows[self._seconds].tolist()
        return [(dict(zip(names, values, strict=True)), took) for values, took in zip(results, seconds, strict=True)]

    def _key(self, config: Mapping[str, Any]) -> Hashable:
        return tuple(config.get(name) for name in self.hyperparameters)

    def _mistakes(self, frame: DataFrame, runs: Any, columns: Mapping[str, Any]) -> Any:
        if not len(frame):
            yield "the table has no rows"
        if not self.hyperparameters:
            yield "no column is constant within each configuration: give hyperparameters=[...]"
        if not self.metrics:
            yield "no column changes within a configuration: there is no metric to search by"
        for name in self.hyperparameters if len(frame) else ():
            if name in frame.columns and (runs[name].nunique(dropna=False) > 1).any():
                yield f"hyperparameter {name!r} changes within a configuration: it is a metric"
        if frame.duplicated([columns["config"], columns["epoch"]]).any():
            yield "a configuration has two rows of one epoch: keep one, or tell the configurations apart"
        if isinstance(columns["seconds"], str) and not (frame[columns["seconds"]] >= 0).all():
            yield f"column {columns['seconds']!r} holds seconds below 0 or missing: give seconds=1.0 to do without"

    def _why_not_distinct(self) -> str:
        seen: dict[Hashable, int] = {}
        for number, config in enumerate(self.configs):
            if (other := seen.setdefault(self._key(config), number)) != number:
                return (
                    f"configurations number {other} and {number} have the same hyperparameters {config}: "
                    "average them, or add a column that tells them apart, such as their seed"
                )
        raise AssertionError("all are distinct")


def _read(table: str | os.PathLike[str] | DataFrame) -> DataFrame:
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    if not isinstance(table, str | os.PathLike):
        raise InvalidArgumentError([f"table must be a CSV file's path or a pandas DataFrame, got {table!r}"])
    if not Path(table).is_file():
        raise InvalidArgumentError([f"there is no table {os.fspath(table)!r}"])
    return pd.read_csv(table)


def _columns(
    there: list[str], given: Mapping[str, str | float | None], hyperparameters: Sequence[str] | None
) -> dict[str, Any]:
    """Which column (or, for seconds, which number) plays each role."""
    mistakes: list[str] = []
    found: dict[str, Any] = {}
    for role, name in given.items():
        if isinstance(name, int | float) and role == "seconds":
            found[role] = float(name)
        elif name is not None and name not in there:
            mistakes.append(f"{role}={name!r} is no column of the table{nearest(str(name), there)}: {', '.join(there)}")
        elif name is None and not (known := [one for one in _NAMES[role] if one in there]):
            hint = " (a number is taken for every epoch)" if role == "seconds" else ""
            mistakes.append(
                f"no column is called {role!r}: name it with {role}=...{hint}; there are {', '.join(there)}"
            )
        else:
            found[role] = name or known[0]
    mistakes += [
        f"hyperparameter {name!r} is no column of the table{nearest(name, there)}"
        for name in hyperparameters or ()
        if name not in there
    ]
    if mistakes:
        raise InvalidArgumentError(mistakes)
    return found


def _constant(runs: Any, names: Sequence[str]) -> list[str]:
    return [name for name in names if (runs[name].nunique(dropna=False) <= 1).all()]


def _domain(values: Series[Any]) -> Any:
    """The domain that a column of hyperparameters was drawn from, as far as its values tell."""
    from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

    distinct = values.unique().tolist()
    if len(distinct) == 1:
        return distinct[0]
    if not is_numeric_dtype(values) or is_bool_dtype(values):
        return Choice(tuple(sorted(distinct, key=str)))
    low, high = min(distinct), max(distinct)
    if len(distinct) <= _FEW:
        return Choice(tuple(sorted(distinct)))
    log = spans_decades(low, high)
    return Integer(low, high, log=log) if is_integer_dtype(values) else Float(low, high, log=log)


def spans_decades(low: float, high: float) -> bool:
    """Whether a range is so wide that it was surely drawn on a logarithmic scale."""
    return low > 0 and math.log10(high / low) >= DECADES


def is_logarithmic(domain: object, low: float, high: float) -> bool:
    """Whether distances between `low` and `high` are those of logarithms: as `domain` says, or else as they span."""
    if isinstance(domain, Domain) and hasattr(domain, "log"):
        return bool(domain.log) and low > 0
    return spans_decades(low, high)
