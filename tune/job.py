"""One run, completely described: what both doors build, what is checked before it starts, what the recipe keeps."""

from __future__ import annotations

import contextlib
import inspect
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from executor.resources import Request
from schedulers import create_scheduler
from schedulers.base import ScheduleContext, TrialScheduler
from schedulers.fifo import FIFOScheduler
from searchers import create_searcher
from searchers.base import SearchContext, Searcher
from searchers.limiter import ConcurrencyLimiter
from searchers.space import validate_space
from searchers.variants import BasicVariantGenerator
from tune.callback import Callback
from tune.errors import InvalidArgumentError, NotRebuildableError, nearest
from tune.machine.plan import Plan, RequestRule, Retention
from tune.machine.policies import Policies
from tune.machine.stopping import Stopper, as_stopper
from tune.settings import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from tune.storage import data, journal, recipe
from tune.worker.objective import is_objective
from tune.worker.trainable import Trainable
from tune.wrappers import Fitted, as_fitted, as_request

STORAGE_VARIABLE = "AUDITION_STORAGE"


@dataclass
class Job:
    """A run as the user asked for it. `check` finds every mistake; the other methods make the parts of the run."""

    trainable: Any
    space: Mapping[str, Any] = field(default_factory=dict)
    tune: TuneConfig = field(default_factory=TuneConfig)
    run: RunConfig = field(default_factory=RunConfig)
    resources: Any = None

    def __post_init__(self) -> None:
        self._refuse_other_settings()
        self.fitted: Fitted = as_fitted(self.trainable)
        self.mistakes: list[str] = []
        self.metrics, self.modes = self._objectives()
        plain = f"{self.trainable_name}_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
        self.name = plain if self.run.name is None else self.run.name
        self.seed = int.from_bytes(os.urandom(4)) if self.tune.seed is None else self.tune.seed

    @property
    def trainable_name(self) -> str:
        """What to call the trainable."""
        name: str = getattr(self.fitted, "__name__", "trainable")
        return "lambda" if name == "<lambda>" else name

    @property
    def storage_path(self) -> Path:
        """The directory that holds experiments."""
        return Path(self.run.storage_path or os.environ.get(STORAGE_VARIABLE) or "results").expanduser().absolute()

    @property
    def directory(self) -> Path:
        """The experiment's own directory."""
        return self.storage_path / self.name

    def check(self) -> None:
        """Find every mistake that can be found before anything starts.

        Raises:
            InvalidArgumentError: lists them all.
        """
        self.mistakes = []
        self._objectives()
        self._check_trainable()
        self._check_parameters()
        self._check_numbers()
        self._check_checkpoints()
        self._check_place()
        if isinstance(self.space, Mapping):
            self.mistakes += validate_space(self.space)
        else:
            self.mistakes.append(f"config must be a dictionary that holds domains, got {self.space!r}")
        if self.mistakes:
            raise InvalidArgumentError(self.mistakes)

    def policies(self) -> Policies:
        """Searcher, scheduler and stopper, bound to this run.

        Raises:
            InvalidArgumentError: lists what does not go together.
        """
        mistakes: list[str] = []
        scheduler = _attempt(mistakes, self._scheduler)
        searcher = _attempt(mistakes, self._searcher)
        stopper = _attempt(mistakes, self._stopper)
        if mistakes:
            raise InvalidArgumentError(mistakes)
        assert scheduler is not None
        assert searcher is not None
        metrics, modes = self.metrics, self.modes
        if not metrics and getattr(scheduler, "metric", None):
            metrics, modes = (scheduler.metric,), (scheduler.mode,)
        self.metrics, self.modes = metrics, modes
        decisive = scheduler if not isinstance(scheduler, FIFOScheduler) else None
        return Policies(scheduler, searcher, stopper, metrics, getattr(decisive, "time_attr", None))

    def plan(self) -> Plan:
        """The settings that the machine decides by."""
        failure, keep, budget = self.run.failure_config, self.run.checkpoint_config, self.tune.time_budget_s
        return Plan(
            metrics=self.metrics,
            modes=self.modes,
            seed=self.seed,
            request=self.request(),
            max_concurrent=self.tune.max_concurrent_trials or None,
            max_failures=failure.max_failures,
            fail_fast=bool(failure.fail_fast),
            time_budget_s=budget.total_seconds() if isinstance(budget, timedelta) else budget,
            retention=Retention(
                keep.checkpoint_frequency,
                keep.checkpoint_at_end,
                keep.num_to_keep,
                keep.checkpoint_score_attribute,
                keep.checkpoint_score_order,
            ),
        )

    def request(self) -> RequestRule:
        """What each trial needs: `resources_per_trial` before what `with_resources` says, one cpu by default."""
        if self.resources is not None:
            return as_request(self.resources)
        return self.fitted.request if self.fitted.request is not None else Request()

    def facts(self) -> dict[str, Any]:
        """What the experiment's directory says about itself, for readers and for `from_recipe`."""
        left_out = {"name", "storage_path", "executor", "callbacks"}
        return {
            "name": self.name,
            "created": time.time(),
            "metrics": list(self.metrics),
            "modes": list(self.modes),
            "seed": self.seed,
            "recipe": {
                "trainable": recipe.trainable_to_data(self.fitted.trainable),
                "parameters": data.encode(self.fitted.parameters),
                "space": data.encode(dict(self.space)),
                "tune": {each.name: data.encode(getattr(self.tune, each.name)) for each in fields(self.tune)},
                "run": {
                    each.name: data.encode(getattr(self.run, each.name))
                    for each in fields(self.run)
                    if each.name not in left_out
                },
                "resources": data.encode(self.resources if self.resources is not None else self.fitted.request),
            },
        }

    @classmethod
    def from_recipe(cls, directory: Path, trainable: Any = None) -> Job:
        """The job whose experiment is in `directory`; `trainable` where the recipe cannot name it.

        Raises:
            NotAnExperimentError: there is none.
            NotRebuildableError: names what the recipe could not keep.
        """
        directory = directory.expanduser().absolute()
        with contextlib.closing(journal.open_readonly(directory)) as connection:
            kept = journal.facts(connection)
        parts = kept["recipe"]
        fitted = as_fitted(trainable if trainable is not None else recipe.trainable_from_data(parts["trainable"]))
        if fitted.parameters:
            parts = {**parts, "parameters": {}}
        if lost := recipe.lost_parts({key: parts[key] for key in ("parameters", "space", "tune", "run", "resources")}):
            raise NotRebuildableError(
                f"{directory} cannot be resumed from its recipe alone, which could not keep:\n"
                + "\n".join(f"- {one}" for one in lost)
                + "\nResume from Python, giving them again: tune.run(train, ..., resume='PATH')"
            )
        if not fitted.parameters:
            fitted = replace(fitted, parameters=data.decode(parts["parameters"], code=True))
        settings = {key: data.decode(value, code=True) for key, value in parts["tune"].items()}
        options = {key: data.decode(value, code=True) for key, value in parts["run"].items()}
        return cls(
            fitted,
            data.decode(parts["space"], code=True),
            TuneConfig(**{**settings, "seed": kept["seed"]}),
            RunConfig(**options, name=directory.name, storage_path=directory.parent),
            data.decode(parts["resources"], code=True),
        )

    def _refuse_other_settings(self) -> None:
        """Refuse what are no settings at all, before anything is read from them."""
        kinds = [(self.tune, TuneConfig, "tune_config"), (self.run, RunConfig, "run_config")]
        if isinstance(self.run, RunConfig):
            kinds.append((self.run.checkpoint_config, CheckpointConfig, "checkpoint_config"))
            kinds.append((self.run.failure_config, FailureConfig, "failure_config"))
        mistakes = [
            f"{name} must be a tune.{kind.__name__}, got {value!r}"
            for value, kind, name in kinds
            if not isinstance(value, kind)
        ]
        if mistakes:
            raise InvalidArgumentError(mistakes)

    def _objectives(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        metrics, modes = _listed(self.tune.metric), _listed(self.tune.mode)
        for metric in metrics:
            if not isinstance(metric, str) or not metric:
                self.mistakes.append(f"metric must be the name of what trials report, got {metric!r}")
        if is_objective(self.fitted.trainable):
            metrics, modes = metrics or ("value",), modes or ("min",)
        for mode in modes:
            if mode not in ("min", "max"):
                self.mistakes.append(f"mode must be 'min' or 'max', got {mode!r}")
        if metrics and not modes:
            self.mistakes.append(f"metric {metrics[0]!r} needs a mode: 'min' or 'max'")
        if modes and not metrics and not self._policies_name_metric():
            self.mistakes.append(f"mode {modes[0]!r} needs a metric: the name of what trials report")
        if metrics and modes and len(metrics) != len(modes):
            self.mistakes.append(f"{len(metrics)} metrics need as many modes, got {len(modes)}")
        return metrics, modes

    def _policies_name_metric(self) -> bool:
        return any(getattr(policy, "metric", None) for policy in (self.tune.scheduler, self.tune.search_alg))

    def _check_trainable(self) -> None:
        trainable = self.fitted.trainable
        if isinstance(trainable, type):
            if not issubclass(trainable, Trainable):
                self.mistakes.append(f"class {trainable.__name__} must be a subclass of tune.Trainable")
            elif trainable.step is Trainable.step:
                self.mistakes.append(f"class {trainable.__name__} must define step()")
        elif not callable(trainable):
            self.mistakes.append(f"the trainable must be a function or a class, got {trainable!r}")
        elif inspect.iscoroutinefunction(trainable):
            self.mistakes.append(f"{self.trainable_name} is async: give a plain function that calls asyncio.run")
        elif not _takes_argument(trainable):
            self.mistakes.append(
                f"{self.trainable_name} must take the configuration: def {self.trainable_name}(config)"
            )

    def _check_parameters(self) -> None:
        """Compare what `with_parameters` gives with what the trainable takes besides its configuration."""
        trainable, given = self.fitted.trainable, self.fitted.parameters
        try:
            taken = list(inspect.signature(trainable.setup if _is_class(trainable) else trainable).parameters.values())
        except (TypeError, ValueError, AttributeError):
            return
        own = [one for one in taken[2 if _is_class(trainable) else 1 :] if one.kind in _BY_KEYWORD]
        names = [one.name for one in own]
        if not any(one.kind is one.VAR_KEYWORD for one in taken):
            self.mistakes += [
                f"{self.trainable_name} takes no parameter {name!r}{nearest(name, names)}"
                for name in given
                if name not in names
            ]
        self.mistakes += [
            f"{self.trainable_name} needs {one.name!r}: give it with tune.with_parameters(..., {one.name}=...)"
            for one in own
            if one.default is one.empty and one.name not in given
        ]

    def _check_numbers(self) -> None:
        search, run = self.tune, self.run
        if not _is_whole(search.num_samples) or search.num_samples < -1 or search.num_samples == 0:
            self.mistakes.append(
                f"num_samples must be a whole number from 1 (or -1: without limit), got {search.num_samples!r}"
            )
        failures = run.failure_config.max_failures
        if not _is_whole(failures) or failures < -1:
            self.mistakes.append(f"max_failures must be a whole number (-1: without limit), got {failures!r}")
        limit = search.max_concurrent_trials
        if limit is not None and (not _is_whole(limit) or limit < 0):
            self.mistakes.append(f"max_concurrent_trials must be a whole number or None, got {limit!r}")
        budget = search.time_budget_s
        seconds = budget.total_seconds() if isinstance(budget, timedelta) else budget
        if seconds is not None and not _positive(seconds):
            self.mistakes.append(f"time_budget_s must be seconds above 0 or a timedelta, got {budget!r}")
        if search.seed is not None and (not _is_whole(search.seed) or search.seed < 0):
            self.mistakes.append(f"seed must be a whole number of at least 0 or None, got {search.seed!r}")
        if not isinstance(run.verbose, int):
            self.mistakes.append(f"verbose must be a whole number, 0 for silence, got {run.verbose!r}")
        if run.failure_config.fail_fast not in (True, False, "raise"):
            self.mistakes.append(f"fail_fast must be True, False or 'raise', got {run.failure_config.fail_fast!r}")
        if self.resources is not None:
            _attempt(self.mistakes, lambda: as_request(self.resources), "resources_per_trial: ")

    def _check_checkpoints(self) -> None:
        keep = self.run.checkpoint_config
        if keep.num_to_keep is not None and (not _is_whole(keep.num_to_keep) or keep.num_to_keep < 1):
            self.mistakes.append(f"num_to_keep must be at least 1 or None, got {keep.num_to_keep!r}")
        if not _is_whole(keep.checkpoint_frequency) or keep.checkpoint_frequency < 0:
            self.mistakes.append(
                f"checkpoint_frequency must be a whole number of at least 0, got {keep.checkpoint_frequency!r}"
            )
        if keep.checkpoint_score_order not in ("min", "max"):
            self.mistakes.append(f"checkpoint_score_order must be 'min' or 'max', got {keep.checkpoint_score_order!r}")

    def _check_place(self) -> None:
        """Check where the run lives, and who is told of it."""
        run = self.run
        if not isinstance(self.name, str) or "/" in self.name or self.name in ("", ".", ".."):
            self.mistakes.append(f"name must be a plain directory name, got {self.name!r}")
        if not isinstance(run.storage_path or "", str | os.PathLike) or "://" in str(run.storage_path):
            self.mistakes.append(f"storage_path must be a directory of this machine, got {run.storage_path!r}")
        if run.durability not in ("process", "power"):
            self.mistakes.append(f"durability must be 'process' or 'power', got {run.durability!r}")
        if not isinstance(run.log_to_file, bool):
            self.mistakes.append(f"log_to_file must be True or False, got {run.log_to_file!r}")
        listed = isinstance(run.callbacks, Sequence)
        if not listed or not all(isinstance(one, Callback) for one in run.callbacks):
            self.mistakes.append(f"callbacks must be a list of tune.Callback objects, got {run.callbacks!r}")

    def _scheduler(self) -> TrialScheduler:
        given = self.tune.scheduler
        scheduler = create_scheduler(given) if isinstance(given, str) else given or FIFOScheduler()
        if not isinstance(scheduler, TrialScheduler):
            raise TypeError(f"scheduler must be a TrialScheduler or its name, got {scheduler!r}")
        metric, mode = (self.metrics or (None,))[0], (self.modes or (None,))[0]
        scheduler.bind(ScheduleContext(metric, mode, self.seed))
        return scheduler

    def _searcher(self) -> Searcher:
        given = self.tune.search_alg
        searcher = create_searcher(given) if isinstance(given, str) else given or BasicVariantGenerator()
        if not isinstance(searcher, Searcher):
            raise TypeError(f"search_alg must be a Searcher or its name, got {searcher!r}")
        if isinstance(searcher, ConcurrencyLimiter) and self.tune.max_concurrent_trials:
            raise ValueError("max_concurrent_trials and a ConcurrencyLimiter exclude each other: give one of them")
        space = dict(self.space)
        searcher.bind(SearchContext(space, self.metrics, self.modes, self.seed, self.tune.num_samples))
        return searcher

    def _stopper(self) -> Stopper | None:
        falling = [metric for metric, mode in zip(self.metrics, self.modes, strict=False) if mode == "min"]
        return as_stopper(self.run.stop, falling=falling)


def _attempt(mistakes: list[str], make: Any, prefix: str = "") -> Any:
    """What `make` returns; what it refuses is added to `mistakes`."""
    try:
        return make()
    except InvalidArgumentError as error:
        mistakes.extend(error.mistakes)
    except (ValueError, TypeError) as error:
        mistakes.append(f"{prefix}{error}")
    return None


def _listed(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else tuple(value) if isinstance(value, list | tuple) else (value,)  # type: ignore[return-value]


_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _is_class(trainable: Any) -> bool:
    return isinstance(trainable, type)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _takes_argument(trainable: Any) -> bool:
    try:
        parameters = inspect.signature(trainable).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL) for one in parameters)
