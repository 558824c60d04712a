"""``audition run`` and ``audition resume``: what they start, and with which exit code they end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import typer

from searchers.description import describe
from tune.cli.detached import find_to_resume
from tune.cli.ending import ENDED_BY, FAILED, OK
from tune.cli.experiments import interrupted_by, overview
from tune.cli.terminal import print_facts, print_heading
from tune.conduct import conduct
from tune.detached import Going, submit
from tune.doors import resume
from tune.errors import InvalidArgumentError, MetricNotReportedError, nearest
from tune.job import Job
from tune.storage import published
from tune.storage.home import address_of
from tune.sweep import read_sweep
from tune.views.results import ResultGrid
from tune.views.wording import flatten, pairs_text

_SAMPLES = 3


def run_sweep(sweep: Path, changes: Sequence[str], options: Mapping[str, Any], *, resume: bool) -> int:
    """Run a sweep file; with `resume`, go on if its experiment exists.

    Raises:
        InvalidArgumentError: the file is wrong, or the experiment is there already.
        MetricNotReportedError: trials report other names.
    """
    job = _read(sweep, changes, options)
    exists = published.exists(job.home)
    if exists and not resume:
        raise InvalidArgumentError(
            [f"{job.home.address} holds an experiment already: --resume goes on with it, --name NAME begins another"]
        )
    if resume and job.run.name is None:
        raise InvalidArgumentError(["--resume needs to know which experiment: give its name in the file, or --name"])
    finished = exists and overview(job.home.live).state == "finished"
    attempts = _attempts(ResultGrid(job.home.address)) if finished else 0
    try:
        results = conduct(job, resume=exists)
    except MetricNotReportedError as error:
        name = "" if job.run.name else f" --name {job.name}"
        raise MetricNotReportedError(
            f"{str(error).splitlines()[0]}\n"
            f"Nothing is lost: correct the name and go on with: audition run {sweep} --resume{name}"
        ) from error
    nothing_new = finished and _attempts(results) == attempts
    return _conclude(results, quiet=not job.run.verbose, nothing_new=nothing_new)


def detach_sweep(sweep: Path, changes: Sequence[str], options: Mapping[str, Any], *, resume: bool) -> None:
    """Leave a sweep with its cluster's head; with `resume`, one that is over goes on.

    Raises:
        InvalidArgumentError: the file is wrong, or its executor is no cluster of ours.
        ClusterError: the cluster cannot be reached, or has an experiment of that name.
    """
    left = submit(_read(sweep, changes, options), Going.AUTO if resume else Going.NEW)
    typer.echo(f"experiment {left.name} runs beside the head, in {left.place} there")
    typer.echo(f"`audition show {left.name}` shows its trials, `audition cluster end {left.name}` asks it to stop")


def resume_experiment(experiment: str, storage_path: Path | None, changes: Mapping[str, Any]) -> int:
    """Go on with an experiment; `changes` are keywords of `tune.resume`.

    Raises:
        NotAnExperimentError: there is none, or it is beside a cluster's head, and is to go on there.
        ExperimentBusyError: somebody runs it.
        NotRebuildableError: names what its recipe could not keep.
    """
    path = find_to_resume(experiment, storage_path)
    finished, attempts = overview(path).state == "finished", _attempts(ResultGrid(path))
    results = resume(address_of(path), **changes)
    nothing_new = finished and _attempts(results) == attempts
    return _conclude(results, quiet=not changes["verbose"], nothing_new=nothing_new)


def read_thresholds(texts: Sequence[str]) -> dict[str, float]:
    """``["training_iteration=54"]`` as ``{"training_iteration": 54.0}``.

    Raises:
        InvalidArgumentError: lists the texts that are no name with a number.
    """
    thresholds, mistakes = {}, []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            thresholds[name.strip()] = float(value)
        except ValueError:
            mistakes.append(f"--stop {text}: expected NAME=NUMBER, such as training_iteration=54")
    if mistakes:
        raise InvalidArgumentError(mistakes)
    return thresholds


def plan_sweep(sweep: Path, changes: Sequence[str], options: Mapping[str, Any]) -> None:
    """Print what a sweep file would run, and the first configurations."""
    job = _read(sweep, changes, options)
    policies = job.policies()
    total = policies.searcher.total_trials
    print_facts(_plan(job, total))
    print_heading("space")
    typer.echo(indent(str(describe(job.space)), "  "))
    print_heading("the first configurations" if job.tune.seed is not None else "configurations such as")
    for number in range(_SAMPLES if total is None else min(_SAMPLES, total)):
        config = policies.searcher.suggest(f"t{number}")
        if not isinstance(config, dict):
            break
        policies.searcher.on_trial_add(f"t{number}", config)
        typer.echo(f"  t{number}  {pairs_text(flatten(config))}")
    typer.echo("\nnothing was started (--dry-run)")


def _read(sweep: Path, changes: Sequence[str], options: Mapping[str, Any]) -> Job:
    if not sweep.is_file():
        near = [one.name for pattern in ("*.yaml", "*.yml") for one in sweep.parent.glob(pattern)]
        raise InvalidArgumentError([f"there is no file {sweep}{nearest(sweep.name, near)}"])
    return read_sweep(sweep, changes, options)


def _attempts(results: ResultGrid) -> int:
    return sum(one.attempts for one in results)


def _conclude(results: ResultGrid, *, quiet: bool, nothing_new: bool) -> int:
    """The exit code that a run's results stand for; what the run itself did not say is said."""
    path, failed = results.experiment_path, results.num_errors
    if quiet and failed:
        typer.echo(f"{failed} of {len(results)} trials failed: audition show {path}", err=True)
    if not quiet and nothing_new:
        typer.echo(f"{path} had finished already: {len(results)} trials")
    if number := interrupted_by(Path(path)):
        return ENDED_BY + number
    return FAILED if failed else OK


def _plan(job: Job, total: int | None) -> list[tuple[str, str]]:
    search, run = job.tune, job.run
    goals = ", ".join(f"{name} ({mode})" for name, mode in zip(job.metrics, job.modes, strict=False))
    at_a_time = f", at most {search.max_concurrent_trials} at a time" if search.max_concurrent_trials else ""
    stops = (
        [f"{name} reaches {value}" for name, value in (run.stop or {}).items()] if isinstance(run.stop, dict) else []
    )
    keep = run.checkpoint_config
    kept = "all are" if keep.num_to_keep is None else f"{keep.num_to_keep} of each trial"
    often = "report" if keep.checkpoint_frequency == 1 else f"{keep.checkpoint_frequency} reports"
    return [
        ("experiment", f"{job.storage_path}/{job.name if run.name else job.trainable_name + '_DATE_TIME'}"),
        ("trainable", _source(job)),
        ("metric", goals),
        ("trials", f"{'without end' if total is None else total}{at_a_time}"),
        ("each with", str(job.request())),
        ("searcher", _policy(search.search_alg) or "random and grid search"),
        ("scheduler", _policy(search.scheduler)),
        ("a trial ends when", ", ".join(stops)),
        ("the run ends after", f"{search.time_budget_s} s" if search.time_budget_s else ""),
        ("failures", f"{run.failure_config.max_failures} further attempts" if run.failure_config.max_failures else ""),
        ("checkpoints", f"every {often}, {kept} kept" if keep.checkpoint_frequency else ""),
        ("seed", str(search.seed) if search.seed is not None else "drawn when it runs"),
    ]


def _source(job: Job) -> str:
    module = sys.modules.get(job.fitted.trainable.__module__)
    return f"{getattr(module, '__file__', None) or job.fitted.trainable.__module__}:{job.trainable_name}"


def _policy(policy: Any) -> str:
    if policy is None:
        return ""
    positional, named = policy.init_arguments
    arguments = [*map(repr, positional), *(f"{name}={value!r}" for name, value in named.items())]
    return f"{type(policy).__name__}({', '.join(arguments)})"
