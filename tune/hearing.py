"""Takes in what the executor tells of calls and of room: what of it counts becomes an event of the experiment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, assert_never

from executor import messages
from searchers.domain import Domain
from tune.asking import Asking
from tune.crew import Crew
from tune.errors import NotReportableError, StorageNotSharedError
from tune.machine.events import (
    Begun,
    CheckpointRefused,
    Command,
    Ended,
    Event,
    Evicted,
    Failed,
    Failure,
    ParameterGiven,
    Reply,
    Reported,
    SaveBegun,
    Saved,
    SaveFailed,
    Take,
)
from tune.machine.experiment import Experiment
from tune.worker.messages import (
    Arrived,
    Ask,
    Begin,
    Bring,
    Outcome,
    Piece,
    Refuse,
    Report,
    Save,
    Stage,
    Unsaved,
    Want,
)

log = logging.getLogger(__name__)

_FINAL = frozenset(error.__name__ for error in (NotReportableError, StorageNotSharedError))
"""What a trial cannot do better by trying again."""


class Hearing:
    """Gives events to `handle`, and to `order` what is to be done without any: to say again what was said before.

    What an attempt says that does not count any more, or a call that is none of this run's, is passed over.
    """

    def __init__(
        self,
        experiment: Experiment,
        crew: Crew,
        asking: Asking,
        handle: Callable[[Event], None],
        order: Callable[[Command], None],
    ) -> None:
        self._experiment = experiment
        self._crew = crew
        self._asking = asking
        self._handle = handle
        self._order = order

    def take(self, event: messages.Event) -> None:
        """Take in one thing that was told."""
        match event:
            case messages.Emitted():
                self._take_emission(event)
            case messages.Returned() | messages.Raised() | messages.Died():
                self._take_end(event)
            case messages.RoomFreed():
                self._crew.room_freed()
            case messages.RoomAdded():
                pass  # who waits for room asks again after every event
            case messages.NodeDraining(node, why):
                for trial_id, attempt in self._crew.leave_node(node):
                    self._handle(Evicted(trial_id, attempt, why))
            case _:
                assert_never(event)

    # The end of a call.

    def _take_end(self, event: messages.Returned | messages.Raised | messages.Died) -> None:
        known = self._crew.attempt_of(event.call_id)
        if known is None:
            return
        trial_id, attempt = known
        match event:
            case messages.Returned(value=Outcome(by_order, metrics, seconds, process)):
                following: Event = Ended(trial_id, attempt, by_order, metrics, seconds, *(process or ()))
            case messages.Returned():
                following = Ended(trial_id, attempt)
            case messages.Raised(error=error):
                kind = "refused" if error.type_name in _FINAL else "raised"
                failure = Failure(kind, str(error), error.traceback, error.where, error.log_tail)
                following = Failed(trial_id, attempt, failure)
            case messages.Died(cause=cause):
                following = Failed(trial_id, attempt, self._death(event.call_id, cause))
            case _:
                assert_never(event)
        self._crew.move_out(event.call_id, in_order=isinstance(event, messages.Returned))
        self._handle(following)

    def _death(self, call_id: str, cause: messages.DeathCause) -> Failure:
        return Failure(
            "killed" if cause.killed else "died",
            str(cause),
            traceback=self._crew.stacks_of(call_id),
            log_tail=cause.log_tail,
            exit_code=cause.exit_code,
            signal=cause.signal or "",
            out_of_memory=cause.memory is not None,
        )

    # What a trial says.

    def _take_emission(self, event: messages.Emitted) -> None:
        known = self._crew.attempt_of(event.call_id)
        if known is None or not self._experiment.current(*known):
            return
        trial_id, attempt = known
        seq = event.seq if event.waits else 0
        match event.payload:
            case Report(metrics, seconds, checkpoint, offers, process, saves):
                pid, host = process or (None, "")
                self._handle(Reported(trial_id, attempt, seq, metrics, seconds, checkpoint, offers, pid, host, saves))
            case Begin():
                self._handle(Begun(trial_id, attempt, seq))
            case Stage() | Bring():
                self._handle(SaveBegun(trial_id, attempt, seq))
            case Unsaved(why):
                log.warning("%s could not save a checkpoint: %s", trial_id, why)
                self._handle(SaveFailed(trial_id, attempt, seq, why))
            case Save(checkpoint):
                self._handle(Saved(trial_id, attempt, seq, checkpoint))
            case Ask(name, domain):
                self._answer(trial_id, attempt, seq, name, domain)
            case Piece() | Arrived() | Want():
                self._crew.carry(event.call_id, event.seq, event.payload)
            case Refuse(checkpoint, why):
                log.warning("%s: a damaged checkpoint is passed over: %s", trial_id, why)
                self._handle(CheckpointRefused(trial_id, attempt, seq, checkpoint, why))
            case _:
                raise TypeError(f"{trial_id} sent {event.payload!r}")

    def _answer(self, trial_id: str, attempt: int, seq: int, name: str, domain: Domain) -> None:
        """Give a define-by-run trial its parameter: as before when it was given, else as the searcher says."""
        config = self._experiment.trials[trial_id].config
        if name in config:
            self._order(Reply(trial_id, attempt, seq, Take(config[name])))
            return

        def give(value: Any) -> None:
            if self._experiment.current(trial_id, attempt):
                self._handle(ParameterGiven(trial_id, attempt, seq, name, domain, value))

        self._asking.parameter(trial_id, name, domain, give)
