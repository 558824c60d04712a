"""Tells callbacks what happens: on a thread of their own, so that none of them holds up a trial or a timer.

The loop's thread takes down what callbacks may hear of an entry, as values that stay as they are (`Notice`), and goes
on. The callbacks' thread turns notices into hooks, in order. In virtual time there is one thread, and all is told at
once.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from tune.callback import Callback, TrialFacts
from tune.machine.events import (
    CheckpointRef,
    Decided,
    Dismissed,
    Ended,
    Entry,
    Event,
    ExperimentEvent,
    Failed,
    Finished,
    Interrupted,
    Launched,
    ParameterGiven,
    Reported,
    Saved,
    SwitchedOff,
)
from tune.machine.experiment import Experiment
from tune.machine.trial import Trial, TrialState

log = logging.getLogger(__name__)

MOST_ERRORS = 10
"""How often a callback may raise."""
MOST_WAITING = 10_000
"""How many notices may wait: of more, those of results and checkpoints are left out."""
_LOOK_S = 0.1
_MANY = (Reported, Saved, ParameterGiven)


@dataclass(frozen=True, slots=True)
class Notice:
    """What callbacks may hear of one event. `trial` is as the event left it; None when it is about the whole run."""

    event: Event
    iteration: int = 0
    trial: TrialFacts | None = None
    ended: bool = False

    @classmethod
    def of(cls, entry: Entry, experiment: Experiment) -> Notice | None:
        """What `entry`, the latest of `experiment`, has for callbacks; None when that is nothing."""
        event = entry.event
        if isinstance(event, ExperimentEvent):
            return cls(event) if isinstance(event, Finished) else None
        facts = _facts(experiment.trials[event.trial_id])
        ends = isinstance(event, Launched | Reported | Decided | Saved | Ended | Failed | Dismissed | Interrupted)
        return cls(event, experiment.results, facts, ended=ends and entry.state == TrialState.TERMINATED)


def _facts(trial: Trial) -> TrialFacts:
    return TrialFacts(trial.trial_id, dict(trial.config), trial.state, trial.last_result)


class Telling:
    """Turns notices into the hooks of callbacks. One that raises `MOST_ERRORS` times is told nothing more."""

    def __init__(
        self, callbacks: Sequence[Callback], known: Iterable[Trial], on_off: Callable[[SwitchedOff], None]
    ) -> None:
        self._errors = {id(callback): 0 for callback in callbacks}
        self._callbacks = list(callbacks)
        self._trials = {trial.trial_id: _facts(trial) for trial in known}
        self._everyone = _Everyone(self._trials)
        self._on_off = on_off

    def setup(self, directory: str, name: str) -> None:
        """The run begins, or goes on."""
        self._each(lambda callback: callback.setup(directory=directory, name=name))

    def tell(self, notice: Notice) -> None:
        """Call the hooks that a notice is for."""
        if notice.trial is not None:
            self._trials[notice.trial.trial_id] = notice.trial
            self._tell_of(notice.event, notice.iteration, notice.trial, ended=notice.ended)
        else:
            self._each(lambda callback: callback.on_experiment_end(trials=self._everyone))

    def _tell_of(self, event: Event, iteration: int, trial: TrialFacts, *, ended: bool) -> None:
        about: dict[str, Any] = {"iteration": iteration, "trials": self._everyone, "trial": trial}
        if isinstance(event, Launched):
            self._each(lambda callback: callback.on_trial_start(**about))
        if isinstance(event, Reported | Ended) and event.metrics is not None and trial.last_result is not None:
            result = {**trial.last_result, "config": trial.config}
            self._each(lambda callback: callback.on_trial_result(**about, result=result))
        if isinstance(event, Reported | Saved) and event.checkpoint is not None:
            self._saved(about, event.checkpoint)
        if ended:
            self._each(lambda callback: callback.on_trial_complete(**about))
        if isinstance(event, Failed) and trial.state == TrialState.ERROR:
            self._each(lambda callback: callback.on_trial_error(**about))

    def _saved(self, about: dict[str, Any], checkpoint: CheckpointRef) -> None:
        self._each(lambda callback: callback.on_trial_save(**about))
        self._each(lambda callback: callback.on_checkpoint(**about, checkpoint=checkpoint))

    def _each(self, call: Callable[[Callback], None]) -> None:
        for callback in list(self._callbacks):
            try:
                call(callback)
            except Exception as error:
                self._errors[id(callback)] += 1
                over = self._errors[id(callback)] >= MOST_ERRORS
                more = f" for the {MOST_ERRORS}th time and is told nothing more" if over else ""
                name = type(callback).__name__
                log.exception("callback %s raised%s", name, more)
                if over:
                    self._callbacks.remove(callback)
                    self._on_off(SwitchedOff("callback", name, f"{type(error).__name__}: {error}"))


class Notices(ABC):
    """An observer of a run that has its callbacks told."""

    def __init__(self, telling: Telling, experiment: Experiment) -> None:
        self._telling = telling
        self._experiment = experiment

    def __call__(self, entry: Entry) -> None:
        """Take down what an entry has for callbacks."""
        notice = Notice.of(entry, self._experiment)
        if notice is not None:
            self._take(notice)

    @abstractmethod
    def setup(self, directory: str, name: str) -> None:
        """Tell that the run begins, and wait until that is told: it may prepare what trials need."""

    @abstractmethod
    def _take(self, notice: Notice) -> None: ...

    def catch_up(self) -> None:
        """Tell what waits to be told, unless that takes too long."""

    def close(self) -> None:
        """The same, and then nothing more.

        Raises:
            BaseException: what a callback raised to end the run.
        """


class NoticesAtOnce(Notices):
    """Tells in the loop's thread: for virtual time, in which no callback is slow."""

    def setup(self, directory: str, name: str) -> None:
        self._telling.setup(directory, name)

    def _take(self, notice: Notice) -> None:
        self._telling.tell(notice)


class NoticesAside(Notices):
    """Tells in a thread of its own, always the same one, which has the caller's context variables.

    While `most_waiting` notices wait, what is reported and saved is left out, and the log says how much: the
    journal has it. Starts and ends are always told. At the end of the run it takes `patience_s` in all to catch up, and
    less when somebody is `hurried`. `on_leaving` is called when a callback raises what is to end the run, such as
    `SystemExit`.
    """

    def __init__(
        self,
        telling: Telling,
        experiment: Experiment,
        *,
        on_leaving: Callable[[str], None],
        hurried: Callable[[], bool],
        patience_s: float = 30.0,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        super().__init__(telling, experiment)
        self._on_leaving = on_leaving
        self._hurried = hurried
        self._patience_s = patience_s
        self._most_waiting = most_waiting
        self._until: float | None = None
        self._leaving: BaseException | None = None
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._left_out = 0
        self._abandoned = False
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=[self._run], name="callbacks", daemon=True)
        self._thread.start()

    def setup(self, directory: str, name: str) -> None:
        told: Future[None] = Future()

        def tell() -> None:
            try:
                self._telling.setup(directory, name)
            except BaseException as error:  # noqa: BLE001 (raised again where the run was begun)
                told.set_exception(error)
            else:
                told.set_result(None)

        self._queue.put(tell)
        try:
            told.result()
        except BaseException:
            self._queue.put(None)
            raise

    def _take(self, notice: Notice) -> None:
        if isinstance(notice.event, _MANY) and self._queue.qsize() >= self._most_waiting:
            if not self._left_out:
                log.warning(
                    "callbacks are %d notices behind: they hear of no more results until they have caught up",
                    self._most_waiting,
                )
            self._left_out += 1
            return
        self._queue.put(lambda: self._telling.tell(notice))

    def catch_up(self) -> None:
        reached = threading.Event()
        self._queue.put(reached.set)
        self._wait(reached.wait)

    def close(self) -> None:
        self._queue.put(None)
        if not self._wait(self._ended):
            self._abandoned = True
            log.warning("callbacks did not come to an end: %d notices were not told", self._queue.qsize() - 1)
        if self._left_out:
            log.warning("callbacks were too slow to be told of %d results and checkpoints", self._left_out)
        if self._leaving is not None:
            raise self._leaving

    def _wait(self, done: Callable[[float], bool]) -> bool:
        """Wait until `done`, which waits so many seconds at most, says so; False when that took too long."""
        if self._until is None:
            self._until = time.monotonic() + self._patience_s
        while not done(_LOOK_S):
            if time.monotonic() > self._until or self._hurried():
                return False
        return True

    def _ended(self, within_s: float) -> bool:
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._abandoned and (tell := self._queue.get()) is not None:
            try:
                tell()
            except BaseException as error:  # noqa: BLE001 (it is to end the run, not this thread)
                self._leaving = self._leaving or error
                self._on_leaving(f"a callback raised {type(error).__name__}")


class _Everyone(Sequence[TrialFacts]):
    """All trials, in order, without copying them for every event."""

    def __init__(self, trials: Mapping[str, TrialFacts]) -> None:
        self._by_id = trials

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, at: Any) -> Any:
        return list(self._by_id.values())[at]

    def __iter__(self) -> Iterator[TrialFacts]:
        return iter(self._by_id.values())
