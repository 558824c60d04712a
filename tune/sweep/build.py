"""From a sweep file to a `Job`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from searchers.definition import Space, constrained
from tune.job import Job
from tune.settings import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from tune.sweep.check import Check
from tune.sweep.document import Document, parse
from tune.sweep.mistakes import Mistake, Place
from tune.sweep.overrides import override, put
from tune.sweep.policies import SCHEDULER, SEARCHER
from tune.sweep.schema import EarlyTerminate, SweepFile
from tune.sweep.section import shown
from tune.sweep.stopping import criteria

METHODS = {"random": "random", "grid": "grid", "bayes": "tpe"}
"""W&B's methods, and our searchers."""


def read_sweep(path: Path, settings: Iterable[str] = (), options: Mapping[str, Any] | None = None) -> Job:
    """The job that the sweep file at `path` describes.

    `settings` are changes such as ``scheduler.max_t=9``, applied in order, and `options` values for top-level keys;
    both are checked like the file itself.

    Raises:
        SweepError: the file has mistakes: shows them all.
        OSError: it cannot be read.
    """
    document = _document(path)
    if isinstance(document.value, dict):
        for setting in settings:
            override(document, setting)
        for key, value in (options or {}).items():
            put(document, (key,), value, Place(f"--{key.replace('_', '-')} {value}"))
    check = Check(document, path.absolute().parent)
    file, trainable = check.parts()
    check.accept(_job(file, trainable))  # policies are bound once in their life: the run gets others
    return _job(file, trainable)


def _document(path: Path) -> Document:
    try:
        document = parse(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        document = Document(str(path), {})
        document.mistakes.append(Mistake(f"it is not UTF-8 text: byte {error.start} is wrong", Place(str(path))))
        return document
    if not document.mistakes and not isinstance(document.value, dict):
        message = f"expected keys such as trainable: and parameters:, got {shown(document.value)}"
        document.mistakes.append(Mistake(message, Place(str(path))))
    return document


def _job(file: SweepFile, trainable: Any) -> Job:
    keep = file.checkpoint
    return Job(
        trainable,
        _space(file),
        TuneConfig(
            metric=_one_or_all([goal.name for goal in file.metric]),
            mode=_one_or_all([goal.mode for goal in file.metric if goal.mode] or list(file.mode)),
            outcome_constraints=file.outcome_constraints or None,
            search_alg=_searcher(file),
            scheduler=_scheduler(file),
            num_samples=file.num_samples or file.run_cap or 1,
            warm_start=file.warm_start,
            max_concurrent_trials=file.max_concurrent_trials,
            time_budget_s=file.time_budget_s,
            reuse_actors=file.reuse_actors,
            seed=file.seed,
        ),
        RunConfig(
            name=file.name,
            storage_path=file.storage_path,
            stop=criteria(file.stop),
            failure_config=FailureConfig(
                max_failures=file.max_failures,
                fail_fast=file.fail_fast,
                max_infra_failures=file.max_infra_failures,
                report_timeout_s=file.report_timeout_s,
                trial_timeout_s=file.trial_timeout_s,
                start_timeout_s=file.start_timeout_s,
            ),
            checkpoint_config=CheckpointConfig(
                num_to_keep=keep.num_to_keep,
                max_total_bytes=keep.max_total_bytes,
                asynchronous=keep.asynchronous,
                checkpoint_frequency=keep.frequency,
                checkpoint_at_end=keep.at_end,
                checkpoint_score_attribute=keep.score_attribute,
                checkpoint_score_order=keep.score_order,
            ),
            verbose=file.verbose,
            log_to_file=file.log_to_file,
            durability=file.durability,
            executor=file.executor,
            runtime_env=file.runtime_env,
        ),
        file.resources_per_trial,
    )


def _space(file: SweepFile) -> Space:
    parameters = {name: one.node(grid=file.method == "grid") for name, one in file.parameters.items()}
    return constrained(parameters, *file.constraints) if file.constraints else parameters


def _one_or_all(names: list[Any]) -> Any:
    return names[0] if len(names) == 1 else names or None


def _searcher(file: SweepFile) -> Any:
    if file.searcher is not None:
        return SEARCHER.make(file.searcher.model_dump())
    return SEARCHER.make({"type": METHODS[file.method]}) if file.method else None


def _scheduler(file: SweepFile) -> Any:
    if file.scheduler is not None:
        return SCHEDULER.make(file.scheduler.arguments())
    return SCHEDULER.make(_asha(file.early_terminate)) if file.early_terminate else None


def _asha(theirs: EarlyTerminate) -> dict[str, Any]:
    """W&B's hyperband: rungs at min_iter * eta**k without end, or the last `s` below max_iter."""
    top = theirs.max_iter or 10**9
    below = round(top / theirs.eta**theirs.s) if theirs.s else 1
    return {
        "type": "asha",
        "grace_period": theirs.min_iter or max(1, below),
        "reduction_factor": theirs.eta,
        "max_t": top,
        "stop_last_trials": False,
    }
