"""How a run ends for its caller: with results, or with an error that says how to go on and carries what was reached."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from executor.errors import ClusterError
from tune.errors import ExecutorLostError, JournalLostError, MetricNotReportedError, SearcherError, TrialFailedError
from tune.machine.experiment import Experiment
from tune.machine.trial import TrialState
from tune.views.results import ResultGrid


@contextlib.contextmanager
def told_how_to_go_on(address: str) -> Iterator[None]:
    """What takes a run's ground away is raised again as a sentence, with the line by which to go on."""
    try:
        yield
    except ClusterError as error:
        lost = ExecutorLostError(f"{error}\nNothing is lost: once there is a cluster again, {_line(address)}")
        with contextlib.suppress(Exception):
            lost.results = ResultGrid(address)
        raise lost from None
    except JournalLostError as error:
        hint = f"What was acknowledged is kept where the journal is: once it can be written, {_line(address)}"
        raise JournalLostError(f"{error}\n{hint}") from None


def conclude(address: str, experiment: Experiment, *, raise_on_failed_trial: bool) -> ResultGrid:
    """The results.

    Raises:
        TuneError: the run ended by it; it has them as `results`.
    """
    results = ResultGrid(address)
    error = _error(address, experiment)
    if error is None and raise_on_failed_trial:
        error = _failure(experiment)
    if error is None:
        return results
    error.results = results  # type: ignore[union-attr]
    raise error


def _error(address: str, experiment: Experiment) -> MetricNotReportedError | SearcherError | TrialFailedError | None:
    if experiment.closing is not None and experiment.closing.error:
        hint = f"Nothing is lost: give the right name and go on with tune.run(..., resume={address!r})"
        return MetricNotReportedError(f"{experiment.closing.error}\n{hint}")
    if experiment.search_error:
        return SearcherError(f"the search algorithm raised:\n{experiment.search_error}")
    return None


def _failure(experiment: Experiment) -> TrialFailedError | None:
    failed = [trial for trial in experiment.trials.values() if trial.state is TrialState.ERROR]
    if not failed or (failure := failed[0].failure) is None:
        return None
    more = f" ({len(failed)} trials failed)" if len(failed) > 1 else ""
    told = failure.traceback or "\n".join(filter(None, (failure.summary, failure.log_tail)))
    return TrialFailedError(f"{failed[0].trial_id} failed{more}, with {failed[0].config}:\n{told}")


def _line(address: str) -> str:
    return f"go on with tune.run(..., resume={address!r}) or: audition resume {address}"
