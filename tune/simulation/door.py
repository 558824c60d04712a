"""`tune.simulate`: what a search would have found, had its trials been those of a table."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from executor.resources import Node, Resources
from executor.simulated import Fault, SimulatedExecutor
from schedulers.base import TrialScheduler
from searchers import create_searcher
from searchers.base import Searcher
from searchers.variants import BasicVariantGenerator, RandomSearch
from tune.callback import Callback
from tune.conduct import Staging, conduct
from tune.errors import InvalidArgumentError
from tune.job import Job
from tune.machine.stopping import StopCriterion
from tune.settings import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from tune.simulation.curves import Curves, Source
from tune.simulation.replay import Overheads, Replay
from tune.simulation.snapping import Snapped
from tune.simulation.timeline import Timeline
from tune.views.results import ResultGrid

_BY_CHANCE = (BasicVariantGenerator, RandomSearch)
_NAME = "simulation"


class SimulatedResults(ResultGrid):
    """What `tune.simulate` found: the results of an ordinary run, and the `timeline` of how it came to them.

    Without a `storage_path` the experiment's directory lives as long as this object.
    """

    def __init__(self, directory: Path, timeline: Timeline, *, temporary: bool = False) -> None:
        super().__init__(directory)
        self.timeline = timeline
        if temporary:
            weakref.finalize(self, shutil.rmtree, directory.parent, ignore_errors=True)


def simulate(  # noqa: PLR0913 (the keywords of tune.run, and what a simulation adds)
    table: Any,
    search_alg: Searcher | str | None = None,
    scheduler: TrialScheduler | str | None = None,
    *,
    metric: str,
    mode: str,
    config: Mapping[str, Any] | None = None,
    num_samples: int | None = None,
    workers: int = 4,
    speeds: Sequence[float] | None = None,
    overheads: Overheads | None = None,
    faults: Iterable[Fault] = (),
    checkpoints: bool = True,
    max_failures: int = 0,
    checkpoint_config: CheckpointConfig | None = None,
    stop: StopCriterion | Sequence[StopCriterion] | None = None,
    time_budget_s: float | timedelta | None = None,
    best: float | None = None,
    seed: int = 0,
    name: str | None = None,
    storage_path: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: int = 0,
) -> SimulatedResults:
    """Run a search on recorded learning curves, in virtual time: seconds for what took hours.

    All but the training is the real thing: machine, journal, searcher, scheduler, stoppers, results. The same
    arguments give the same results, to the last digit.

    Args:
        table: a pandas DataFrame or the path of a CSV file with the columns ``config``, ``epoch``, ``seconds``, metrics
            and hyperparameters; a `tune.Curves`, where the columns need explaining; or one of `tune.functions`.
        search_alg: a `Searcher` or its name. Each suggestion is snapped to the nearest configuration not yet used.
            Random search without `config` draws from the table, in an order that depends on `seed` alone, so that
            schedulers can be compared pair by pair.
        scheduler: a `TrialScheduler` or its name; every trial runs to its end by default.
        metric: what to compare trials by; a column of the table.
        mode: ``min`` or ``max``.
        config: the search space; the ranges of the table's columns by default.
        num_samples: how many trials; the whole table by default.
        workers: how many trials run at the same time.
        speeds: how fast each worker is, 1 being as recorded; as many as there are workers.
        overheads: seconds to start and to save, and a rate of crashes: what the curves leave out.
        faults: deaths by script, each of a call named ``t12.1`` (trial, attempt).
        checkpoints: whether trials can be saved; those that cannot start again from zero when they were paused.
        max_failures: further attempts of a trial that crashed; -1 without limit.
        checkpoint_config: when trials save besides when they pause; never by default.
        stop: as in `tune.run`.
        time_budget_s: virtual seconds after which the search ends.
        best: the best value there is, to which regret is counted; the table's by default.
        seed: of the order, the searcher, the scheduler and the crashes.
        name: of the experiment.
        storage_path: where to keep the experiment; by default it is gone with the results.
        callbacks: told what happens.
        verbose: 0 is silent.

    Raises:
        InvalidArgumentError: lists the mistakes; nothing was run.
    """
    source = _source(table)
    if mistakes := list(_mistakes(workers, speeds, overheads, num_samples, source)):
        raise InvalidArgumentError(mistakes)
    timeline = Timeline(metric, mode, source.best(metric, mode) if best is None else best)
    temporary = storage_path is None
    often = checkpoint_config is not None and checkpoint_config.checkpoint_frequency > 0
    program = Replay(source, overheads or Overheads(), seed, checkpoints, often)
    job = Job(
        program.curve_of,
        dict(source.space if config is None else config),
        TuneConfig(
            metric=metric,
            mode=mode,
            search_alg=_searcher(source, search_alg, has_space=config is not None),
            scheduler=scheduler,
            num_samples=-1 if num_samples is None else num_samples,
            time_budget_s=time_budget_s,
            seed=seed,
        ),
        RunConfig(
            name=name or _NAME,
            storage_path=tempfile.mkdtemp(prefix="simulation-") if temporary else storage_path,
            stop=stop,
            failure_config=FailureConfig(max_failures=max_failures),
            checkpoint_config=checkpoint_config or CheckpointConfig(checkpoint_frequency=0, num_to_keep=None),
            verbose=verbose,
            callbacks=callbacks,
            log_to_file=False,
            executor=_executor(workers, speeds, faults),
        ),
    )
    try:
        conduct(job, staging=Staging(program, timeline))
    except BaseException:
        if temporary:
            shutil.rmtree(job.storage_path, ignore_errors=True)
        raise
    return SimulatedResults(job.directory, timeline, temporary=temporary)


def _source(table: Any) -> Source:
    return table if hasattr(table, "curve") and hasattr(table, "space") else Curves(table)


def _mistakes(
    workers: int, speeds: Sequence[float] | None, overheads: Overheads | None, num_samples: int | None, source: Source
) -> Iterable[str]:
    if not isinstance(workers, int) or workers < 1:
        yield f"workers must be a whole number from 1, got {workers!r}"
    elif speeds is not None and len(speeds) != workers:
        yield f"speeds names {len(speeds)} workers, there are {workers}"
    if overheads is not None and not 0 <= overheads.crash_rate < 1:
        yield f"crash_rate must be at least 0 and below 1, got {overheads.crash_rate!r}"
    if num_samples is None and not isinstance(source, Curves):
        yield "num_samples is needed: a function has no end of configurations"


def _searcher(source: Source, given: Searcher | str | None, *, has_space: bool) -> Searcher | None:
    searcher = create_searcher(given) if isinstance(given, str) else given
    if not isinstance(source, Curves):
        return searcher
    if not has_space and (searcher is None or type(searcher) in _BY_CHANCE):
        return Snapped(source)
    return Snapped(source, searcher or RandomSearch())


def _executor(workers: int, speeds: Sequence[float] | None, faults: Iterable[Fault]) -> SimulatedExecutor:
    if speeds is None:
        return SimulatedExecutor([Node("sim", Resources.of(cpu=workers))], faults=faults)
    nodes = [Node(f"worker{number}", Resources.of(cpu=1)) for number in range(workers)]
    return SimulatedExecutor(
        nodes, speeds={node.name: speed for node, speed in zip(nodes, speeds, strict=True)}, faults=faults
    )
