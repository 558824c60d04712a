"""The settings of a run as values, under Ray Tune's names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from schedulers.base import TrialScheduler
from searchers.base import Searcher
from tune.callback import Callback
from tune.machine.stopping import StopCriterion

Metric = str | Sequence[str] | None


@dataclass(kw_only=True)
class TuneConfig:
    """How to search. `metric` and `mode` (``min`` or ``max``) may be lists of equal length for several objectives.

    `outcome_constraints` are texts such as ``latency_ms <= 20`` about what trials report; `warm_start` names results
    that are known already, as `tune.run` has it.
    `num_samples` counts samples of the space, -1 without end; `time_budget_s` is seconds or a `timedelta`.
    """

    metric: Metric = None
    mode: Metric = None
    outcome_constraints: str | Sequence[str] | None = None
    search_alg: Searcher | str | None = None
    scheduler: TrialScheduler | str | None = None
    num_samples: int = 1
    warm_start: Any = None
    max_concurrent_trials: int | None = None
    time_budget_s: float | timedelta | None = None
    reuse_actors: bool = False
    seed: int | None = None


@dataclass(kw_only=True)
class CheckpointConfig:
    """When checkpoints are saved and which are kept.

    A trial that offers a checkpoint saves it at every `checkpoint_frequency`-th report (0: only when it pauses or is
    suspended), and when it is stopped if `checkpoint_at_end`. Of each trial the latest is always kept, of the others
    the best by `checkpoint_score_attribute` (by default the run's metric), `num_to_keep` in all; None keeps all, and 0
    none once the trial has ended. With `max_total_bytes` all trials' checkpoints together are held to so many bytes, as
    far as that is possible without the latest of trials that are not over: the worst go first.

    With `asynchronous` a trial waits only while its own files are written or copied. Checksums, flushing and upload
    happen while it trains on; should it fail before they are complete, it goes on from the checkpoint before.
    """

    num_to_keep: int | None = 2
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str = "max"
    checkpoint_frequency: int = 1
    checkpoint_at_end: bool = False
    max_total_bytes: int | None = None
    asynchronous: bool = False


@dataclass(kw_only=True)
class FailureConfig:
    """What a failing trial costs: `max_failures` further attempts, each from its last checkpoint (-1: without limit).

    What is no fault of the trial's own, such as a worker that was killed from outside, is counted apart, up to
    `max_infra_failures` (-1: without limit). A trial that reports nothing for `report_timeout_s` seconds, does not
    begin within `start_timeout_s`, or has run for `trial_timeout_s` in all its attempts, is ended, and has failed.
    `fail_fast` ends the run at the first trial that fails for good; ``"raise"`` also raises for it.
    """

    max_failures: int = 0
    fail_fast: bool | str = False
    max_infra_failures: int = 10
    report_timeout_s: float | None = None
    trial_timeout_s: float | None = None
    start_timeout_s: float | None = None


@dataclass(kw_only=True)
class RunConfig:
    """Where a run lives and how it behaves.

    `storage_path` is the directory or URL that holds the experiment's own, `name`.

    `runtime_env` is what trials on other machines need of this one: ``working_dir``, a folder that is sent along and in
    which they work; ``py_modules``, folders of packages or files that they import; ``env_vars``; and ``excludes``,
    patterns of files that are not sent. Trials on this machine have all of it but the variables already.
    """

    name: str | None = None
    storage_path: str | os.PathLike[str] | None = None
    stop: StopCriterion | Sequence[StopCriterion] | None = None
    failure_config: FailureConfig = field(default_factory=FailureConfig)
    checkpoint_config: CheckpointConfig = field(default_factory=CheckpointConfig)
    verbose: int = 1
    callbacks: Sequence[Callback] = ()
    log_to_file: bool = True
    durability: str = "process"
    executor: Any = "local"
    runtime_env: Mapping[str, Any] | None = None
