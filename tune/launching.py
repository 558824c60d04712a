"""Fills free room: with who should start next among the trials there are, or with a new one by the searcher."""

from __future__ import annotations

import logging
from collections.abc import Callable

from executor.errors import ClusterError, InfeasibleRequestError
from executor.messages import Reservation
from searchers.base import FINISHED
from tune.asking import Asking
from tune.crew import Crew
from tune.machine.events import Event, Launched, ResizeDropped, SearchEnded, Suggested
from tune.machine.experiment import Experiment
from tune.machine.prospects import Wanted

log = logging.getLogger(__name__)


class Launching:
    """Starts trials for as long as there is room.

    What it does are events, given to `handle`. Where no trial can ever start any more, `give_up` is told by which error
    the run is to end, and a phrase for why.
    """

    def __init__(
        self,
        experiment: Experiment,
        crew: Crew,
        asking: Asking,
        handle: Callable[[Event], None],
        give_up: Callable[[Exception, str], None],
    ) -> None:
        self._experiment = experiment
        self._crew = crew
        self._asking = asking
        self._handle = handle
        self._give_up = give_up
        self._asked_after = 0
        self._warned = False

    def fill(self) -> None:
        """Start what should start next for as long as there is room; the searcher is asked until it has nothing new."""
        self._experiment.searcher_waits = False
        while (wanted := self._wanted()) is not None:
            if wanted.request is None:
                self._suggest()
                if self._asking.thinks:
                    return  # the loop is woken when there is an answer
                continue
            room = self._take_room(wanted)
            if room is None:
                if not wanted.grows or self._crew.frees_room:
                    break
                self._take_back(wanted)
                continue
            trial_id = wanted.trial_id or self._suggest()
            if trial_id is None:
                self._crew.keep_room(room)
                if self._asking.thinks:
                    return
                continue
            self._launch(trial_id, room)
        # The next one is thought about while there is no room for it, where rooms would else be empty too long.
        if self._asking.pays_ahead(len(self._experiment.live)) and self._experiment.takes_new:
            self._ask()

    def _wanted(self) -> Wanted | None:
        try:
            return self._experiment.wanted()
        except Exception as error:  # noqa: BLE001 (the user's own rule of what a configuration needs)
            self._give_up(error, "what a trial needs could not be found out")
            return None

    # Room.

    def _take_room(self, wanted: Wanted) -> Reservation | None:
        assert wanted.request is not None
        try:
            return self._crew.take_room(wanted.request)
        except ClusterError as error:
            self._give_up(error, "the cluster is gone")
            return None
        except InfeasibleRequestError as error:
            if wanted.grows:
                return None
            error.add_note(f"asked for by trial {wanted.trial_id}")
            self._give_up(error, "no node can ever hold a trial")
            return None

    def _take_back(self, wanted: Wanted) -> None:
        """Let a trial that asked for other resources, which cannot be had, go on with those it had."""
        assert wanted.trial_id is not None
        assert wanted.request is not None
        why = f"{wanted.request.total} cannot be had now; it goes on with what it had"
        log.info("%s: %s", wanted.trial_id, why)
        self._handle(ResizeDropped(wanted.trial_id, why))

    def _launch(self, trial_id: str, room: Reservation) -> None:
        launched = self._experiment.launch(trial_id)
        self._warn_of_starting_over(launched)
        self._crew.move_in(launched, room)
        self._handle(launched)

    def _warn_of_starting_over(self, launched: Launched) -> None:
        """Say, once, that trials which go on have no checkpoint to go on from."""
        if launched.attempt > 1 and launched.checkpoint is None and not self._warned:
            self._warned = True
            log.warning(
                "%s starts again from the beginning, and so will others that pause or fail: it has no checkpoint;"
                " give one to tune.report(..., checkpoint=...)",
                launched.trial_id,
            )

    # New trials.

    def _suggest(self) -> str | None:
        """A new trial by the searcher; None when it has none (now or ever), or still thinks."""
        self._ask()
        answer = self._asking.answer()
        if answer is None:
            return None
        if answer.error:
            self._handle(SearchEnded(answer.error))
            return None
        config = answer.suggestion
        if config is None:
            self._experiment.searcher_waits = True
            if self._experiment.live or self._wanted() is not None:
                return None
        if config is None or config is FINISHED:
            self._handle(SearchEnded())
            return None
        trial_id, now = self._experiment.next_trial_id, self._experiment.position
        config = self._experiment.policies.completed_config(trial_id, config)
        self._handle(Suggested(trial_id, config, self._asked_after if self._asked_after < now else 0))
        self._asking.taken()
        return trial_id

    def _ask(self) -> None:
        if self._asking.ask(self._experiment.next_trial_id) or not self._asking.is_aside:
            self._asked_after = self._experiment.position
