"""What can go wrong in an experiment.

TuneError
├── InvalidArgumentError     the arguments of a run are wrong: lists every mistake at once (also a ValueError)
│   └── SweepError               the same for a sweep file, with lines (in `tune.sweep`)
├── MetricNotReportedError   the metric that decisions rest on was never reported
├── TrialFailedError         trials failed, and the run was asked to raise for them
├── NoBestTrialError         no trial has a finite value of the metric (also a RuntimeError)
├── SearcherError            the search algorithm raised; what had finished is kept
├── NotAnExperimentError     the directory holds no experiment
│   └── JournalUnreadableError  nor a journal: its file is no database, or none any more
├── ExperimentBusyError      another process runs this experiment
├── JournalCorruptError      the experiment's journal was changed or cut
├── JournalLostError         the journal of a run cannot be written any more (also an OSError)
├── ExecutorLostError        what the run's trials ran on is gone
├── NotRebuildableError      the recipe names something that cannot be made again from data
├── NotReplayableError       the journal is whole, and cannot be gone on from: another version wrote it
├── CheckpointCorruptError   a checkpoint does not match its manifest
├── StorageNotSharedError    a gang's worker does not see the experiment's directory
├── StorageUnreachableError  what is behind a URL cannot be reached
├── NotInTrialError          a function for trainables was called outside of a trial
└── NotRankZeroError         a worker of a gang reported that is not its rank 0
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class TuneError(Exception):
    """Base of every error that tune raises."""


class InvalidArgumentError(TuneError, ValueError, TypeError):
    """The arguments of a run are wrong; `mistakes` lists all of them."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        many = f"{len(mistakes)} mistakes:\n" if len(mistakes) > 1 else ""
        super().__init__(many + "\n".join(f"- {one}" if many else one for one in mistakes))


class MetricNotReportedError(TuneError):
    """The metric that decisions rest on was never reported: names the nearest one that was."""


class TrialFailedError(TuneError):
    """Trials failed, and the run was asked to raise for them; `results` has everything that was reached."""

    results: Any = None


class NoBestTrialError(TuneError, RuntimeError):
    """No trial has a finite value of the metric, or no metric is known."""


class SearcherError(TuneError):
    """The search algorithm raised; finished trials are kept and the run can be resumed."""


class NotAnExperimentError(TuneError):
    """The directory holds no experiment."""


class JournalUnreadableError(NotAnExperimentError):
    """What should be an experiment's journal is no database, or none any more."""


class ExperimentBusyError(TuneError):
    """Another process runs this experiment: says which."""


class JournalCorruptError(TuneError):
    """The experiment's journal was changed or cut: says at which row."""


class JournalLostError(TuneError, OSError):
    """The journal of a run cannot be written any more: says why. What was acknowledged is kept, if its place is."""


class ExecutorLostError(TuneError):
    """What the run's trials ran on is gone, as a cluster that was stopped: says why, and how to go on."""

    results: Any = None


class NotRebuildableError(TuneError):
    """The recipe names something that cannot be made again from data: says what, and how to give it."""


class NotReplayableError(TuneError):
    """An entry of the journal, whole as it is, does not follow from those before it: another version wrote it."""


class CheckpointCorruptError(TuneError):
    """A checkpoint does not match its manifest: says which file."""


class StorageNotSharedError(TuneError):
    """The workers of a gang need a directory that they do not share: says who does not see it, and what to do."""


class StorageUnreachableError(TuneError):
    """What is behind a URL cannot be reached: says why, and what to look at."""


class NotInTrialError(TuneError):
    """A function for trainables was called outside of a trial."""


class NotReportableError(TuneError, TypeError):
    """What a trial reports cannot be kept: says what, and what to use instead. Trying again would not help."""


class NotRankZeroError(TuneError):
    """A worker of a gang reported that is not its rank 0: names the rank, and says what to do instead."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'accuracy'?``, empty when nothing known is near."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def never_reported(role: str, name: str, trial_id: str, reported: Sequence[str]) -> str:
    """What to say when the first result lacks a name that decisions rest on."""
    names = ", ".join(sorted(reported)) or "nothing"
    hint = nearest(name, reported)
    return f"{role} {name!r} was not reported: trial {trial_id} reported {names}{hint}"
