"""Results known before a run begins, from wherever they are: read, held against the search space, and kept as data.

What can be named: an experiment's directory or its `ResultGrid`, a directory of Ray Tune's (its JSON files only), an
Optuna study or where it is stored, a dataframe as `ResultGrid.get_dataframe` makes it, and pairs of a configuration and
its result.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchers.base import SearchContext, Searcher
from searchers.choices import holds_domain
from searchers.known import fit, fit_asked, parameters_in
from searchers.space import grid_axes
from tune.machine.stopping import nested
from tune.machine.totals import is_finite
from tune.machine.trial import AUTOMATIC, TrialState
from tune.storage.journal import DATABASE
from tune.views.results import Result, ResultGrid
from tune.views.study import load_study, read_study

Pair = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A configuration and its result; the result is empty when the trial failed."""

_KEPT = frozenset(("training_iteration", "time_total_s", "timesteps_total"))


@dataclass(frozen=True, slots=True)
class Known:
    """One result: what the configuration says of the space's parameters, and the numbers that came of it.

    Made with keywords, it is data that a recipe keeps.
    """

    parameters: Mapping[str, Any]
    result: Mapping[str, Any]


def read_known(source: Any, context: SearchContext, *, asks: bool = False) -> tuple[list[Known], str]:
    """What of `source` fits the search, and in a line how many others there were and why they do not fit.

    With `asks`, trials ask for their parameters as they run: all that is no constant is taken for one of them.

    Raises:
        ValueError: `source` is nothing that can be read, or what it names is not there.
    """
    if not (asks or context.define or holds_domain(dict(context.space)) or grid_axes(context.space)):
        raise ValueError("warm_start needs a search space in config: there is nothing to be learned about")
    found: list[Known] = []
    misfits: Counter[str] = Counter()
    for config, result in _pairs(source, context):
        try:
            found.append(_known(config, result, context))
        except ValueError as error:
            misfits[str(error)] += 1
    if not misfits:
        return found, ""
    (reason, count), left_out = misfits.most_common(1)[0], misfits.total()
    told = f"{left_out} of {left_out + len(found)} earlier results are left out"
    return found, f"warm_start: {told}; of {count} the reason is that {reason}"


def tell(searcher: Searcher, known: Sequence[Known]) -> None:
    """Let `searcher`, which is bound and was asked nothing yet, learn from what is known."""
    for index, one in enumerate(known):
        searcher.on_evaluated(f"known{index}", _configuration(one, searcher.context), dict(one.result))


def _configuration(known: Known, context: SearchContext) -> dict[str, Any]:
    if holds_domain(dict(context.space)) or grid_axes(context.space):
        return fit(context.space, known.parameters)
    return {**context.space, **known.parameters}


def _parameters(config: Mapping[str, Any], context: SearchContext) -> Mapping[str, Any]:
    """What `config` says of the parameters that are searched.

    Raises:
        ValueError: it does not fit: says why.
    """
    if context.define is not None:
        return fit_asked(context.define, config)
    if holds_domain(dict(context.space)) or grid_axes(context.space):
        fit(context.space, config)
        return parameters_in(context.space, config)
    parameters_in(context.space, config)  # its constants are these
    return {name: value for name, value in config.items() if name not in context.space}


def _known(config: Mapping[str, Any], result: Mapping[str, Any], context: SearchContext) -> Known:
    if not result:
        raise ValueError("the trial failed or reported nothing")
    result = {name: value.item() if getattr(value, "shape", None) == () else value for name, value in result.items()}
    decisive = [*context.metrics, *(one.metric for one in context.outcome_constraints)]
    values = {name: result[name] if name in result else nested(result, name) for name in decisive}
    for name, value in values.items():
        if not is_finite(value):
            raise ValueError(f"there is no finite {name}")
    parameters = _parameters(config, context)
    numbers = {name: value for name, value in result.items() if is_finite(value) and _is_kept(name)}
    return Known(parameters, {**numbers, **values})


def _is_kept(name: str) -> bool:
    return name not in AUTOMATIC or name in _KEPT


def _pairs(source: Any, context: SearchContext) -> Iterator[Pair]:
    match source:
        case ResultGrid():
            return map(_pair, source)
        case str() if "://" in source:
            return read_study(load_study(source, None), context)
        case (str() as storage, str() as name) if "://" in storage:
            return read_study(load_study(storage, name), context)
        case str() | os.PathLike():
            return _of_directory(Path(source).expanduser().absolute())
        case list() | tuple():
            return map(_pair, source)
    if hasattr(source, "get_trials") and hasattr(source, "directions"):
        return read_study(source, context)
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return _of_frame(source)
    raise ValueError(
        "warm_start must be the directory of an experiment, its results, an Optuna study, a dataframe, or a list of"
        f" (config, result), got {source!r}"
    )


# One reader for each kind of source.


def _pair(given: Any) -> Pair:
    match given:
        case Known():
            return given.parameters, given.result
        case {"config": Mapping() as config, "result": Mapping() as result}:
            return config, result
        case (Mapping() as config, Mapping() as result):
            return config, result
    if isinstance(given, Result):
        return given.config, {} if given.state == TrialState.ERROR else given.metrics
    raise ValueError(f"warm_start: expected a pair of a configuration and its result, both dictionaries, got {given!r}")


def _of_directory(path: Path) -> Iterator[Pair]:
    if (path / DATABASE).is_file():
        return map(_pair, ResultGrid(path))
    trials = sorted(path.glob("*/params.json"))
    if not trials:
        raise ValueError(f"warm_start: there is no experiment in {path}")
    return map(_of_ray, trials)


def _of_ray(parameters: Path) -> Pair:
    """A trial of Ray Tune's: of what it reported the last line that is whole; none of its pickles is opened."""
    reported = parameters.with_name("result.json")
    lines = reported.read_text(encoding="utf-8").splitlines() if reported.is_file() else []
    result: dict[str, Any] = {}
    for line in reversed(lines):
        try:
            result = json.loads(line)
            break
        except ValueError:  # torn by the end of the process
            continue
    config: dict[str, Any] = json.loads(parameters.read_text(encoding="utf-8"))
    return config, {name: value for name, value in result.items() if name != "config"}


def _of_frame(frame: Any) -> Iterator[Pair]:
    for row in frame.to_dict("records"):
        known = {name: value for name, value in row.items() if not _is_absent(value)}
        config = {name.removeprefix("config/"): value for name, value in known.items() if name.startswith("config/")}
        failed = known.get("state") == TrialState.ERROR
        yield config, {} if failed else {name: one for name, one in known.items() if not name.startswith("config/")}


def _is_absent(value: Any) -> bool:
    """Whether a dataframe has this where a row has nothing: a parameter that was not active."""
    return value is None or (isinstance(value, float) and math.isnan(value))
