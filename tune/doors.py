"""The two doors, `tune.run` and `tune.Tuner`: they check keywords, describe a job, and hand it to `conduct`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from schedulers.base import TrialScheduler
from searchers.base import Searcher
from searchers.definition import Space
from tune import keywords
from tune.callback import Callback
from tune.conduct import conduct
from tune.errors import InvalidArgumentError, NotAnExperimentError
from tune.job import Job
from tune.machine.stopping import StopCriterion
from tune.settings import CheckpointConfig, FailureConfig, Metric, RunConfig, TuneConfig
from tune.storage.journal import DATABASE
from tune.views.results import ResultGrid


def run(  # noqa: PLR0913 (the keywords that users know from Ray Tune)
    trainable: Any,
    *,
    config: Space | None = None,
    metric: Metric = None,
    mode: Metric = None,
    num_samples: int = 1,
    search_alg: Searcher | str | None = None,
    scheduler: TrialScheduler | str | None = None,
    stop: StopCriterion | Sequence[StopCriterion] | None = None,
    time_budget_s: float | timedelta | None = None,
    max_concurrent_trials: int | None = None,
    resources_per_trial: Any = None,
    reuse_actors: bool = False,
    max_failures: int = 0,
    fail_fast: bool | str = False,
    raise_on_failed_trial: bool = True,
    checkpoint_config: CheckpointConfig | None = None,
    name: str | None = None,
    storage_path: str | os.PathLike[str] | None = None,
    resume: bool | str | os.PathLike[str] = False,
    seed: int | None = None,
    verbose: int = 1,
    log_to_file: bool = True,
    callbacks: Sequence[Callback] | None = None,
    durability: str = "process",
    executor: Any = "local",
    **unknown: Any,
) -> ResultGrid:
    """Run `trainable` with configurations drawn from `config`, and return all that was found.

    Args:
        trainable: a function of a configuration that calls `tune.report` or returns metrics, a `tune.Trainable` class,
            or an Optuna objective (its first parameter is called ``trial``).
        config: the search space: a dictionary that holds domains such as `tune.loguniform(1e-5, 1e-1)` anywhere in it,
            or a function of a trial that asks it for parameters; `tune.constrained` adds constraints to either.
        metric: what to compare trials by: the name of what they report.
        mode: whether less of it is better (``min``) or more (``max``).
        num_samples: how often the space is sampled; a grid is run through that many times. -1: until stopped.
        search_alg: which configuration to try next: a `Searcher` or its name; random and grid search by default.
        scheduler: which trials to stop early: a `TrialScheduler` or its name; none by default.
        stop: when a trial has done enough: ``{"training_iteration": 27}``, a function of (trial id, result), or a
            `Stopper`. A value stops its trial from below; the metric itself under ``mode="min"`` from above.
        time_budget_s: seconds of the experiment's life after which it ends.
        max_concurrent_trials: how many trials run at the same time at most; as many as there is room for by default.
        resources_per_trial: ``{"cpu": 2, "gpu": 0.5}``, or ``tune.Gang(workers=2, gpu=1)`` for several workers a trial;
            one cpu by default.
        reuse_actors: keep a trial's process for the next trial, which then starts in a millisecond.
        max_failures: further attempts of a trial that fails, each from its last checkpoint; -1 without limit.
        fail_fast: end the run when a trial fails for good.
        raise_on_failed_trial: raise at the end when trials failed; the error carries the results.
        checkpoint_config: when checkpoints are saved, and which are kept.
        name: what the experiment is called; the trainable's name and the time by default.
        storage_path: the directory that holds the experiment's own, ``results`` by default.
        resume: go on with the experiment in that directory, or in the one given as a path; ``"AUTO"`` if there is one.
        seed: makes the run reproducible; drawn and recorded when None.
        verbose: 0 is silent.
        log_to_file: what trials print goes to ``logs/`` instead of to this process's own output.
        callbacks: told what happens.
        durability: ``"process"`` survives the death of any process, ``"power"`` also that of the machine.
        executor: where trials run: ``"local"`` or an executor.
        **unknown: refused, each with the keyword that is probably meant.

    Raises:
        InvalidArgumentError: lists every mistake in the arguments; nothing was started.
        TrialFailedError: trials failed; has the first one's own traceback.
    """
    keywords.refuse_unknown("tune.run", unknown, [one for one in run.__annotations__ if one not in _NOT_KEYWORDS])
    job = Job(
        trainable,
        config or {},
        TuneConfig(
            metric=metric,
            mode=mode,
            search_alg=search_alg,
            scheduler=scheduler,
            num_samples=num_samples,
            max_concurrent_trials=max_concurrent_trials,
            time_budget_s=time_budget_s,
            reuse_actors=reuse_actors,
            seed=seed,
        ),
        RunConfig(
            name=name,
            storage_path=storage_path,
            stop=stop,
            failure_config=FailureConfig(max_failures=max_failures, fail_fast=fail_fast),
            checkpoint_config=checkpoint_config or CheckpointConfig(),
            verbose=verbose,
            callbacks=callbacks or (),
            log_to_file=log_to_file,
            durability=durability,
            executor=executor,
        ),
        resources_per_trial,
    )
    job, going_on = _directed(job, resume)
    return conduct(job, resume=going_on, raise_on_failed_trial=raise_on_failed_trial)


_NOT_KEYWORDS = ("trainable", "unknown", "return")


class Tuner:
    """The same run, described by configuration objects as Ray Tune's users know them."""

    def __init__(
        self,
        trainable: Any,
        *,
        param_space: Space | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
    ) -> None:
        self._job = Job(trainable, param_space or {}, tune_config or TuneConfig(), run_config or RunConfig())
        self._resume = False
        self._results: ResultGrid | None = None

    def fit(self) -> ResultGrid:
        """Run to the end and return all that was found; failed trials are in it and raise nothing.

        Raises:
            InvalidArgumentError: lists every mistake in the settings; nothing was started.
        """
        raising = self._job.run.failure_config.fail_fast == "raise"
        self._results = conduct(self._job, resume=self._resume, raise_on_failed_trial=raising)
        return self._results

    def get_results(self) -> ResultGrid:
        """What `fit` found, or so far what a restored experiment has.

        Raises:
            RuntimeError: there is nothing yet.
        """
        if self._results is None and not self._resume:
            raise RuntimeError("there are no results yet: call fit() first")
        return self._results or ResultGrid(self._job.directory)

    @classmethod
    def restore(cls, path: str | os.PathLike[str], trainable: Any = None) -> Tuner:
        """The experiment in `path`, to go on with: `trainable` is needed only when the recipe cannot name it.

        Raises:
            NotAnExperimentError: there is none.
            NotRebuildableError: the recipe names something that only the caller has.
        """
        tuner = cls.__new__(cls)
        tuner._job = Job.from_recipe(Path(path), trainable)  # noqa: SLF001 (its own new object)
        tuner._resume, tuner._results = True, None  # noqa: SLF001
        return tuner

    @staticmethod
    def can_restore(path: str | os.PathLike[str]) -> bool:
        """Whether there is an experiment in `path`."""
        return Path(path, DATABASE).is_file()


def resume(
    path: str | os.PathLike[str],
    trainable: Any = None,
    *,
    verbose: int | None = None,
    raise_on_failed_trial: bool = False,
    executor: Any = "local",
) -> ResultGrid:
    """Go on with the experiment in `path`, from its recipe; `trainable` only when the recipe cannot name it.

    Raises:
        NotAnExperimentError: there is none.
        NotRebuildableError: the recipe names something that only the caller has.
        ExperimentBusyError: another process runs it.
    """
    job = Job.from_recipe(Path(path), trainable)
    job.run = replace(job.run, executor=executor, verbose=job.run.verbose if verbose is None else verbose)
    return conduct(job, resume=True, raise_on_failed_trial=raise_on_failed_trial)


def _directed(job: Job, resume: bool | str | os.PathLike[str]) -> tuple[Job, bool]:
    """Where to run, and whether to go on there."""
    if isinstance(resume, bool):
        if not resume:
            return job, False
    elif os.fspath(resume) == "AUTO":
        return job, (job.directory / DATABASE).is_file()
    else:
        path = Path(resume).expanduser().absolute()
        job = replace(job, run=replace(job.run, name=path.name, storage_path=path.parent))
    if job.run.name is None:
        raise InvalidArgumentError(["resume=True needs the name of the experiment to go on with, or pass its path"])
    if not (job.directory / DATABASE).is_file():
        raise NotAnExperimentError(f"there is no experiment to resume in {job.directory}")
    return job, True
