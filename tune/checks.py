"""What can be wrong with the arguments of a run, found before anything starts: functions that list mistakes.

Types are checked although the signatures promise them: people do not run type checkers on their notebooks.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from executor.resources import Request
from schedulers.base import TrialScheduler
from searchers.base import Searcher
from searchers.definition import read_definition, validate
from searchers.outcomes import read_constraints
from tune.callback import Callback
from tune.errors import InvalidArgumentError, nearest
from tune.settings import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from tune.size import refused_config
from tune.storage import remote
from tune.worker.objective import is_objective
from tune.worker.trainable import Trainable
from tune.wrappers import Fitted, as_request

T = TypeVar("T")
_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def attempt(mistakes: list[str], make: Callable[[], T], prefix: str = "") -> T | None:
    """What `make` makes; None when it refuses to, and what it says is added to `mistakes`."""
    try:
        return make()
    except InvalidArgumentError as error:
        mistakes.extend(error.mistakes)
    except (ValueError, TypeError) as error:
        mistakes.append(f"{prefix}{error}")
    return None


def of_kinds(tune: Any, run: Any) -> Iterator[str]:
    """Whether the settings are settings at all: asked before anything is read from them."""
    kinds = [(tune, TuneConfig, "tune_config"), (run, RunConfig, "run_config")]
    if isinstance(run, RunConfig):
        kinds.append((run.checkpoint_config, CheckpointConfig, "checkpoint_config"))
        kinds.append((run.failure_config, FailureConfig, "failure_config"))
    for value, kind, name in kinds:
        if not isinstance(value, kind):
            yield f"{name} must be a tune.{kind.__name__}, got {value!r}"


def of_objectives(metrics: Sequence[Any], modes: Sequence[Any], *, named_elsewhere: bool) -> Iterator[str]:
    """Metrics and modes; `named_elsewhere` when a policy names a metric of its own."""
    for metric in metrics:
        if not isinstance(metric, str) or not metric:
            yield f"metric must be the name of what trials report, got {metric!r}"
    for mode in modes:
        if mode not in ("min", "max"):
            yield f"mode must be 'min' or 'max', got {mode!r}"
    if metrics and not modes:
        yield f"metric {metrics[0]!r} needs a mode: 'min' or 'max'"
    if modes and not metrics and not named_elsewhere:
        yield f"mode {modes[0]!r} needs a metric: the name of what trials report"
    if metrics and modes and len(metrics) != len(modes):
        yield f"{len(metrics)} metrics need as many modes, got {len(modes)}"


def of_constraints(texts: Any, metrics: Sequence[str], *, named_elsewhere: bool) -> Iterator[str]:
    """Whether constraints on outcomes can be read, and there is something to be best at."""
    mistakes: list[str] = []
    constraints = attempt(mistakes, lambda: read_constraints(texts))
    yield from mistakes
    if constraints and not metrics and not named_elsewhere:
        yield f"outcome_constraints {', '.join(map(str, constraints))} need a metric and a mode beside them"


def of_policies(searcher: Searcher, scheduler: TrialScheduler) -> Iterator[str]:
    """Whether what the searcher learns is true under this scheduler."""
    if searcher.learns and scheduler.changes_configs:
        yield (
            f"{type(scheduler).__name__} changes configurations while trials train, and {type(searcher).__name__} would"
            " learn from ones that did not stay: search at random (without search_alg), or evenly (search_alg='sobol')"
        )


def of_trainable(fitted: Fitted, name: str) -> Iterator[str]:
    """Whether the trainable is one, and takes what it will be given."""
    trainable = fitted.trainable
    if isinstance(trainable, type):
        if not issubclass(trainable, Trainable):
            yield f"class {trainable.__name__} must be a subclass of tune.Trainable"
        elif trainable.step is Trainable.step:
            yield f"class {trainable.__name__} must define step()"
    elif not callable(trainable):
        yield f"the trainable must be a function or a class, got {trainable!r}"
    elif inspect.iscoroutinefunction(trainable):
        yield f"{name} is async: give a plain function that calls asyncio.run"
    elif not _takes_argument(trainable):
        yield f"{name} must take the configuration: def {name}(config)"


def of_parameters(fitted: Fitted, name: str) -> Iterator[str]:
    """Whether `with_parameters` gives what the trainable takes besides its configuration."""
    trainable, given = fitted.trainable, fitted.parameters
    is_class = isinstance(trainable, type)
    try:
        taken = list(inspect.signature(trainable.setup if is_class else trainable).parameters.values())
    except (TypeError, ValueError, AttributeError):
        return
    own = [one for one in taken[2 if is_class else 1 :] if one.kind in _BY_KEYWORD]
    names = [one.name for one in own]
    if not any(one.kind is one.VAR_KEYWORD for one in taken):
        yield from (f"{name} takes no parameter {one!r}{nearest(one, names)}" for one in given if one not in names)
    for one in own:
        if one.default is one.empty and one.name not in given:
            yield f"{name} needs {one.name!r}: give it with tune.with_parameters(..., {one.name}=...)"


def of_search(search: TuneConfig) -> Iterator[str]:
    """Counts, limits, budget and seed."""
    if not _is_whole(search.num_samples) or search.num_samples < -1 or search.num_samples == 0:
        yield f"num_samples must be a whole number from 1 (or -1: without limit), got {search.num_samples!r}"
    limit = search.max_concurrent_trials
    if limit is not None and (not _is_whole(limit) or limit < 0):
        yield f"max_concurrent_trials must be a whole number or None, got {limit!r}"
    budget = search.time_budget_s
    seconds = budget.total_seconds() if isinstance(budget, timedelta) else budget
    if seconds is not None and not _is_positive(seconds):
        yield f"time_budget_s must be seconds above 0 or a timedelta, got {budget!r}"
    if search.seed is not None and (not _is_whole(search.seed) or search.seed < 0):
        yield f"seed must be a whole number of at least 0 or None, got {search.seed!r}"


def of_failures(failure: FailureConfig) -> Iterator[str]:
    """What a failing trial costs."""
    if not _is_whole(failure.max_failures) or failure.max_failures < -1:
        yield f"max_failures must be a whole number (-1: without limit), got {failure.max_failures!r}"
    if failure.fail_fast not in (True, False, "raise"):
        yield f"fail_fast must be True, False or 'raise', got {failure.fail_fast!r}"
    if not _is_whole(failure.max_infra_failures) or failure.max_infra_failures < -1:
        yield f"max_infra_failures must be a whole number (-1: without limit), got {failure.max_infra_failures!r}"
    for name in ("report_timeout_s", "trial_timeout_s", "start_timeout_s"):
        value = getattr(failure, name)
        if value is not None and not (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
            yield f"{name} must be a number of seconds above 0, or None, got {value!r}"


def of_checkpoints(keep: CheckpointConfig) -> Iterator[str]:
    """When checkpoints are saved, and which are kept."""
    if keep.num_to_keep is not None and (not _is_whole(keep.num_to_keep) or keep.num_to_keep < 0):
        yield f"num_to_keep must be a whole number of at least 0 or None, got {keep.num_to_keep!r}"
    if keep.max_total_bytes is not None and (not _is_whole(keep.max_total_bytes) or keep.max_total_bytes < 1):
        yield f"max_total_bytes must be a whole number of bytes or None, got {keep.max_total_bytes!r}"
    if not isinstance(keep.asynchronous, bool):
        yield f"asynchronous must be True or False, got {keep.asynchronous!r}"
    if not _is_whole(keep.checkpoint_frequency) or keep.checkpoint_frequency < 0:
        yield f"checkpoint_frequency must be a whole number of at least 0, got {keep.checkpoint_frequency!r}"
    if keep.checkpoint_score_order not in ("min", "max"):
        yield f"checkpoint_score_order must be 'min' or 'max', got {keep.checkpoint_score_order!r}"


def of_place(run: RunConfig, name: Any) -> Iterator[str]:
    """Where the run lives, and who is told of it."""
    if not isinstance(name, str) or "/" in name or name in ("", ".", ".."):
        yield f"name must be a plain directory name, got {name!r}"
    if not isinstance(run.storage_path or "", str | os.PathLike):
        yield f"storage_path must be a directory or a URL, got {run.storage_path!r}"
    elif remote.is_url(run.storage_path) and (why := remote.mistake(str(run.storage_path))):
        yield f"storage_path {run.storage_path!r}: {why}"
    if run.durability not in ("process", "power"):
        yield f"durability must be 'process' or 'power', got {run.durability!r}"
    if not isinstance(run.log_to_file, bool):
        yield f"log_to_file must be True or False, got {run.log_to_file!r}"
    if not isinstance(run.verbose, int):
        yield f"verbose must be a whole number, 0 for silence, got {run.verbose!r}"
    listed = isinstance(run.callbacks, Sequence)
    if not listed or not all(isinstance(one, Callback) for one in run.callbacks):
        yield f"callbacks must be a list of tune.Callback objects, got {run.callbacks!r}"


def of_environment(run: RunConfig) -> Iterator[str]:
    """What is sent along to other machines, and whether it can be."""
    if run.runtime_env is None:
        return
    from executor.hosting.runtime_env import mistakes_in  # only here, for the sake of the time to import us

    yield from mistakes_in(run.runtime_env)
    if not isinstance(run.executor, str):
        yield "runtime_env belongs to an executor that is made already: executor.connect(ADDRESS, runtime_env=...)"


def of_resources(resources: Any) -> Iterator[str]:
    """Whether they can be read; None says nothing."""
    mistakes: list[str] = []
    if resources is not None:
        attempt(mistakes, lambda: as_request(resources), "resources_per_trial: ")
    yield from mistakes


def of_gang(fitted: Fitted, name: str, resources: Any) -> Iterator[str]:
    """Whether the trainable can run in several workers, if it is to."""
    request = fitted.request if resources is None else resources
    if not isinstance(request, Request) or not request.gang:
        return
    if isinstance(fitted.trainable, type):
        yield f"a gang's workers all run one function: {name} is a class, give a function that reports from rank 0"
    elif callable(fitted.trainable) and is_objective(fitted.trainable):
        yield f"a gang's workers all run one function of a configuration: {name} takes an Optuna trial"


def of_space(space: Any) -> Iterator[str]:
    """Whether the search space is one."""
    try:
        read_definition(space)
    except TypeError:
        yield f"config must be a dictionary that holds domains, or a function of a trial, got {space!r}"
        return
    yield from validate(space)
    if isinstance(space, Mapping) and (why := refused_config(space, "config")):
        yield why


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _takes_argument(trainable: Any) -> bool:
    try:
        parameters = inspect.signature(trainable).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL) for one in parameters)
