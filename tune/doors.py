"""The two doors, `tune.run` and `tune.Tuner`: they check keywords, describe a job, and hand it to `conduct`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from schedulers.base import TrialScheduler
from searchers.base import Searcher
from searchers.definition import Space
from tune import keywords
from tune.amending import Amendments
from tune.callback import Callback
from tune.conduct import conduct
from tune.detached import Going, submit
from tune.errors import InvalidArgumentError, NotAnExperimentError
from tune.job import Job
from tune.machine.stopping import StopCriterion
from tune.reopening import Reopening
from tune.settings import CheckpointConfig, FailureConfig, Metric, RunConfig, TuneConfig
from tune.storage import published, publishing
from tune.storage.home import Home
from tune.views.results import ResultGrid


def run(  # noqa: PLR0913 (the keywords that users know from Ray Tune)
    trainable: Any,
    *,
    config: Space | None = None,
    metric: Metric = None,
    mode: Metric = None,
    outcome_constraints: str | Sequence[str] | None = None,
    num_samples: int = 1,
    search_alg: Searcher | str | None = None,
    scheduler: TrialScheduler | str | None = None,
    warm_start: Any = None,
    stop: StopCriterion | Sequence[StopCriterion] | None = None,
    time_budget_s: float | timedelta | None = None,
    max_concurrent_trials: int | None = None,
    resources_per_trial: Any = None,
    reuse_actors: bool = False,
    max_failures: int = 0,
    max_infra_failures: int = 10,
    report_timeout_s: float | None = None,
    trial_timeout_s: float | None = None,
    start_timeout_s: float | None = None,
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
    runtime_env: Mapping[str, Any] | None = None,
    detached: bool = False,
    **unknown: Any,
) -> ResultGrid:
    """Run `trainable` with configurations drawn from `config`, and return all that was found.

    Args:
        trainable: a function of a configuration that calls `tune.report` or returns metrics, a `tune.Trainable` class,
            or an Optuna objective (its first parameter is called ``trial``).
        config: the search space: a dictionary that holds domains such as `tune.loguniform(1e-5, 1e-1)` anywhere in it,
            or a function of a trial that asks it for parameters; `tune.constrained` adds constraints to either.
        metric: what to compare trials by: the name of what they report; a list for several objectives, of which the
            first names the best trial, and all of them the results' `pareto_front`.
        mode: whether less of it is better (``min``) or more (``max``); as many as there are metrics.
        outcome_constraints: what a trial must keep to be of use, such as ``["latency_ms <= 20"]``: metrics that trials
            report, with ``<=``, ``<``, ``>=`` or ``>`` and a number.
        num_samples: how often the space is sampled; a grid is run through that many times. -1: until stopped.
        search_alg: which configuration to try next: a `Searcher` or its name; random and grid search by default.
        scheduler: which trials to stop early: a `TrialScheduler` or its name; none by default.
        warm_start: results known already, from which the searcher learns before it suggests anything, as far as they
            fit the space: the directory of an experiment (Ray Tune's too) or its `ResultGrid`, an Optuna study or its
            storage's URL (with several studies: URL and name), a dataframe as `ResultGrid.get_dataframe` makes it, or
            a list of (configuration, result).
        stop: when a trial has done enough: ``{"training_iteration": 27}``, a function of (trial id, result), or a
            `Stopper`. A value stops its trial from below; the metric itself under ``mode="min"`` from above.
        time_budget_s: seconds of the experiment's life after which it ends.
        max_concurrent_trials: how many trials run at the same time at most; as many as there is room for by default.
        resources_per_trial: ``{"cpu": 2, "gpu": 0.5}``, or ``tune.Gang(workers=2, gpu=1)`` for several workers a trial;
            one cpu by default.
        reuse_actors: keep a trial's process for the next trial, which then starts in a millisecond.
        max_failures: further attempts of a trial that fails, each from its last checkpoint; -1 without limit.
        max_infra_failures: the same for failures that are not its own, as when somebody kills its process.
        report_timeout_s: how many seconds a trial may report nothing: it is then ended and has failed, with the stacks
            of its threads in the error.
        trial_timeout_s: how many seconds a trial may run, in all its attempts.
        start_timeout_s: how many seconds may pass before a trial's function is called.
        fail_fast: end the run when a trial fails for good.
        raise_on_failed_trial: raise at the end when trials failed; the error carries the results.
        checkpoint_config: when checkpoints are saved, and which are kept.
        name: what the experiment is called; the trainable's name and the time by default.
        storage_path: the directory that holds the experiment's own, ``results`` by default; or a URL such as
            ``s3://bucket/folder``, where checkpoints go, and a copy of the journal every ten seconds.
        resume: go on with the experiment in that directory, or at the path or URL given; ``"AUTO"`` if there is one.
        seed: makes the run reproducible; drawn and recorded when None.
        verbose: 0 is silent.
        log_to_file: what trials print goes to ``logs/`` instead of to this process's own output.
        callbacks: told what happens.
        durability: ``"process"`` survives the death of any process, ``"power"`` also that of the machine.
        executor: where trials run: ``"local"``, the address of a cluster, or an executor.
        runtime_env: code and variables for trials on other machines: ``{"working_dir": ".", "py_modules": ["../lib"],
            "env_vars": {...}, "excludes": ["*.bin"]}``; code is sent once to each node.
        detached: run beside the head of the cluster that `executor` is, and return a `DetachedRun` once it has begun:
            this process may go then. Without `storage_path` the experiment lies in the head's own folder.
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
            outcome_constraints=outcome_constraints,
            search_alg=search_alg,
            scheduler=scheduler,
            num_samples=num_samples,
            warm_start=warm_start,
            max_concurrent_trials=max_concurrent_trials,
            time_budget_s=time_budget_s,
            reuse_actors=reuse_actors,
            seed=seed,
        ),
        RunConfig(
            name=name,
            storage_path=storage_path,
            stop=stop,
            failure_config=FailureConfig(
                max_failures=max_failures,
                fail_fast=fail_fast,
                max_infra_failures=max_infra_failures,
                report_timeout_s=report_timeout_s,
                trial_timeout_s=trial_timeout_s,
                start_timeout_s=start_timeout_s,
            ),
            checkpoint_config=checkpoint_config or CheckpointConfig(),
            verbose=verbose,
            callbacks=callbacks or (),
            log_to_file=log_to_file,
            durability=durability,
            executor=executor,
            runtime_env=runtime_env,
        ),
        resources_per_trial,
    )
    if detached:
        return submit(_placed(job, resume), Going.as_asked(resume))
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
        self._reopening = Reopening()
        self._results: ResultGrid | None = None

    def fit(self) -> ResultGrid:
        """Run to the end and return all that was found; failed trials are in it and raise nothing.

        Raises:
            InvalidArgumentError: lists every mistake in the settings; nothing was started.
        """
        raising = self._job.run.failure_config.fail_fast == "raise"
        self._results = conduct(
            self._job, resume=self._resume, reopening=self._reopening, raise_on_failed_trial=raising
        )
        return self._results

    def get_results(self) -> ResultGrid:
        """What `fit` found, or so far what a restored experiment has.

        Raises:
            RuntimeError: there is nothing yet.
        """
        if self._results is None and not self._resume:
            raise RuntimeError("there are no results yet: call fit() first")
        return self._results or ResultGrid(self._job.home.address)

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        trainable: Any = None,
        *,
        resume_unfinished: bool = True,
        resume_errored: bool = False,
        restart_errored: bool = False,
        param_space: Space | None = None,
    ) -> Tuner:
        """The experiment in `path`, to go on with; see `tune.resume` for what may be given.

        Raises:
            NotAnExperimentError: there is none.
            NotRebuildableError: the recipe names something that only the caller has.
        """
        tuner = cls.__new__(cls)
        tuner._job = Job.from_recipe(_brought(path), trainable, Amendments(config=param_space))  # noqa: SLF001 (its own)
        tuner._reopening = Reopening(  # noqa: SLF001
            unfinished=resume_unfinished, errored=resume_errored, restart_errored=restart_errored
        )
        tuner._resume, tuner._results = True, None  # noqa: SLF001
        return tuner

    @staticmethod
    def can_restore(path: str | os.PathLike[str]) -> bool:
        """Whether there is an experiment in `path`, a directory or a URL."""
        return published.exists(Home.at(path))


def resume(  # noqa: PLR0913 (what may be changed, by the keywords of `run`)
    path: str | os.PathLike[str],
    trainable: Any = None,
    *,
    num_samples: int | None = None,
    time_budget_s: float | timedelta | None = None,
    stop: StopCriterion | Sequence[StopCriterion] | None = None,
    config: Space | None = None,
    search_alg: Searcher | str | None = None,
    scheduler: TrialScheduler | str | None = None,
    max_concurrent_trials: int | None = None,
    max_failures: int | None = None,
    resources_per_trial: Any = None,
    resume_unfinished: bool = True,
    resume_errored: bool = False,
    restart_errored: bool = False,
    callbacks: Sequence[Callback] | None = None,
    verbose: int | None = None,
    raise_on_failed_trial: bool = False,
    executor: Any = "local",
) -> ResultGrid:
    """Go on with the experiment in `path`, from its recipe, with what is given here in the place of what it had.

    Args:
        path: the experiment's directory or URL.
        trainable: needed only when the recipe cannot name it, or to go on with another of the same signature.
        num_samples: how many samples more: ``+50``.
        time_budget_s: how many seconds more, from where the experiment stands.
        stop: another criterion. Trials that the earlier one had ended, and this one does not, train on.
        config: another search space. Trials that fit it count as before; the others stay in the results, the searcher
            is not told of them, and those that were not over are. Constants may differ: trials keep those they have.
        search_alg: another search algorithm: it is told all that happened.
        scheduler: another scheduler: it is told all that happened.
        max_concurrent_trials: how many trials run at the same time at most.
        max_failures: further attempts of a trial that fails.
        resources_per_trial: what trials have that are suggested from now on, and those that start again.
        resume_unfinished: whether trials that were not over go on; they are over otherwise.
        resume_errored: whether trials that failed for good go on, from their latest checkpoints.
        restart_errored: whether they start from zero.
        callbacks: told what happens; they are never kept with an experiment.
        verbose: 0 is silent.
        raise_on_failed_trial: raise at the end when trials failed; the error carries the results.
        executor: where trials run: ``"local"`` or an executor.

    Raises:
        NotAnExperimentError: there is none.
        NotRebuildableError: the recipe names something that only the caller has.
        ExperimentBusyError: another process runs it.
        InvalidArgumentError: lists every mistake in what was given; nothing was started.
    """
    amendments = Amendments(
        config=config,
        num_samples=num_samples,
        time_budget_s=time_budget_s,
        stop=stop,
        search_alg=search_alg,
        scheduler=scheduler,
        max_concurrent_trials=max_concurrent_trials,
        max_failures=max_failures,
        resources_per_trial=resources_per_trial,
        callbacks=callbacks,
        verbose=verbose,
        executor=executor,
    )
    job = Job.from_recipe(_brought(path), trainable, amendments)
    reopening = Reopening(
        unfinished=resume_unfinished,
        errored=resume_errored,
        restart_errored=restart_errored,
        longer=stop is not None,
    )
    return conduct(job, resume=True, reopening=reopening, raise_on_failed_trial=raise_on_failed_trial)


def _placed(job: Job, resume: bool | str | os.PathLike[str]) -> Job:
    """The job, with the name and place of the experiment that it is to go on with."""
    if not isinstance(resume, bool) and os.fspath(resume) != "AUTO":
        storage_path, _, name = Home.at(resume).address.rpartition("/")
        return replace(job, run=replace(job.run, name=name, storage_path=storage_path or "/"))
    if resume is True and job.run.name is None:
        raise InvalidArgumentError(["resume=True needs the name of the experiment to go on with, or pass its path"])
    return job


def _directed(job: Job, resume: bool | str | os.PathLike[str]) -> tuple[Job, bool]:
    """Where to run, and whether to go on there."""
    job = _placed(job, resume)
    if resume is False:
        return job, False
    is_there = published.exists(job.home)
    if not is_there and resume != "AUTO":
        raise NotAnExperimentError(f"there is no experiment to resume in {job.home.address}")
    return job, is_there


def _brought(path: str | os.PathLike[str]) -> Home:
    """The home that `path` names, its journal being on this machine."""
    home = Home.at(path)
    if home.is_published:
        with publishing.holding(home):
            published.bring_up_to_date(home)
    return home
