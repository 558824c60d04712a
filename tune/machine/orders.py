"""What each decision of a scheduler does to a trial, whatever it does at that moment. The one place that says so.

What is decided about a trial by its own report, or about one that runs by another's (it learns of it at its next):

========  ==========================================  ==========================================================
decision  a running trial                             one that waits or is paused
========  ==========================================  ==========================================================
Continue  goes on                                     as before
Save      saves if this report offers (of another's:  as before
          at the next that does), and goes on
Pause     saves if it offers, leaves, is paused       as before
Stop      leaves, is over                             is over at once
Exploit   leaves without saving, becomes the copy,    becomes the copy, and goes on waiting; until then it
          goes on at once, or with `pause` is paused  is not started
Resize    saves, leaves, goes on at once with other   asks for the other resources when it starts next
          resources, or with those it had
========  ==========================================  ==========================================================

And where something else is under way:

* A save in flight is finished first; the trial leaves with the answer to it. One that is saved aside, while the trial
  goes on, counts from when it is complete, as of the report that it was begun with; only one is in flight.
* A trial told to stop stays so. One told to pause or to suspend (Ctrl-C) does that, and what else was decided about it
  holds when it starts next: the copy, the resources.
* The latest `Exploit` counts. The copy is of the donor as it stands: one that runs and has not saved since its last
  report is told to save at its next, and the trial goes on meanwhile. A donor that does not offer a checkpoint then, or
  runs no more, gives its latest; without any, it is told to save at the next report that offers. If it ends, is paused
  or fails with none, the exploit is dropped, with a reason, and the trial goes on as it was.
* The checkpoint is held from then on: it is not deleted before the copy has started from it, whatever the donor does,
  nor while any copy keeps it.
* A trial that is its own donor saves what it has reached. One whose process ends before comes as far again first.
* A trial that dies on its way out has left: what was decided holds. One that ends by itself, or for good, is over, and
  lets go of what it held for a copy.
* A trial whose controller dies before it has saved what it was asked for comes to the same place again, saves there,
  and leaves if it was to; who waits for that checkpoint goes on waiting. A save that the plan has due at a report is
  not lost by an `Exploit` that has to wait for its donor.
* A trial whose node is drained suspends as one that is told to: it saves if it offers, leaves, and goes on elsewhere.
* `Resize` needs a report with a checkpoint, and one bundle; otherwise the trial goes on, which is said once. Resources
  that cannot be had when it starts are dropped with a reason, and it starts with those it had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from executor.resources import Request, Resources
from schedulers.base import Continue, Decision, Exploit, Pause, Resize, Save, Stop
from tune.machine import retention
from tune.machine.events import (
    CheckpointRef,
    Command,
    Decided,
    Evicted,
    ExploitDropped,
    Exploited,
    Nudge,
    ResizeDropped,
)
from tune.machine.standing import Standing
from tune.machine.totals import Point
from tune.machine.trial import Copy, Trial, TrialState, Turn


class Orders(Standing):
    """Carries decisions out on the standing of an experiment."""

    def _apply_order(
        self, trial: Trial, event: Decided | Exploited | ExploitDropped | ResizeDropped | Evicted
    ) -> list[Command]:
        match event:
            case Decided():
                return self._decide(trial, event.decision)
            case Exploited():
                return self._become_copy(trial, event)
            case ExploitDropped():
                return self._forget_copy(trial)
            case ResizeDropped():
                trial.wished = None
                return []
            case Evicted():
                self._move(trial, Turn.TOLD_TO_SUSPEND)
                trial.reason = trial.reason or event.why
                return [Nudge(trial.trial_id, trial.attempt)]
            case _:
                assert_never(event)

    def _order(self, trial: Trial, decision: Decision) -> list[Command]:
        """Take in what a running trial shall do."""
        match decision:
            case Pause(reason):
                self._move(trial, Turn.TOLD_TO_PAUSE)
                trial.reason = reason
            case Stop(reason, complete):
                self._move(trial, Turn.TOLD_TO_STOP)
                trial.reason, trial.cut_short = reason, not complete
            case Resize(resources, reason):
                self._move(trial, Turn.TOLD_TO_SUSPEND)
                trial.wished, trial.reason = request_of(resources), reason
            case Exploit():
                return self._plan_copy(trial, decision)
            case Continue() | Save():
                pass
            case _:
                assert_never(decision)
        return []

    def _decide(self, trial: Trial, decision: Decision) -> list[Command]:
        """Take in a decision about a trial that did not ask; one that runs learns of it at its next report."""
        if trial.state.live:
            commands = self._order(trial, decision)
            if isinstance(decision, Save):
                trial.saving.ask_from(trial.totals.iteration + 1)
            return commands + ([Nudge(trial.trial_id, trial.attempt)] if trial.state is not TrialState.RUNNING else [])
        match decision:
            case Stop(reason, complete):
                trial.reason, trial.cut_short = reason, not complete
                self._move(trial, Turn.DISMISSED)
                return self._forget_copy(trial) + self._keep_less(trial)
            case Exploit():
                return self._plan_copy(trial, decision)
            case Resize(resources):
                trial.wished = request_of(resources)
        return []

    # Copies.

    def _plan_copy(self, trial: Trial, exploit: Exploit) -> list[Command]:
        if trial.state is TrialState.STOPPING:
            return []
        commands = self._forget_copy(trial)
        trial.copy = Copy(exploit.donor, dict(exploit.config), exploit.reason, exploit.pause)
        self.copying[trial.trial_id] = trial
        self._file(trial)
        donor = self.trials[exploit.donor]
        if (held := self._to_copy(donor)) is not None:
            self._hold_for_copy(trial, donor, held)
        elif donor is trial:
            trial.saving.ask_at(trial.told_iteration)
        elif donor.state.live:
            donor.saving.ask_from(donor.totals.iteration + 1)
        return commands

    @staticmethod
    def _to_copy(donor: Trial) -> CheckpointRef | None:
        """The checkpoint that a copy of `donor` starts from; None when it is still to come, or never will."""
        held = donor.checkpoint
        is_latest = held is not None and (held.iteration == donor.totals.iteration or not donor.may_save)
        return held if is_latest else None

    def _hold_for_copy(self, trial: Trial, donor: Trial, checkpoint: CheckpointRef) -> None:
        """Keep the donor's checkpoint until `trial` starts from it, which it shall do now."""
        assert trial.copy is not None
        trial.copy = replace(trial.copy, checkpoint=checkpoint, point=donor.points[checkpoint.path])
        self._hold(checkpoint)
        if trial.state is TrialState.RUNNING:
            self._move(trial, Turn.TOLD_TO_PAUSE if trial.copy.pause else Turn.TOLD_TO_SUSPEND)
            trial.reason = trial.copy.reason

    def _keep_saved(self, trial: Trial, checkpoint: CheckpointRef) -> list[Command]:
        """Keep a checkpoint that a trial saved; those that waited to copy it do."""
        if trial.saving.aside is None:
            self._begin_aside(trial)
        completed = trial.saving.complete()
        trial.barren_deaths = []
        commands = self._keep(trial, checkpoint, completed.point)
        return commands + (self._hand_out(trial, to_itself=completed.is_due) if completed.is_for_others else [])

    def _begin_aside(self, trial: Trial) -> None:
        """Remember where a trial stands whose checkpoint is saved now: it may go on meanwhile."""
        point = Point(trial.totals, retention.score(self.plan, trial.last_result or {}))
        trial.saving.begin_aside(point, caught_up=trial.has_caught_up)

    def _is_awaited(self, donor: Trial) -> bool:
        """Whether somebody waits for a checkpoint of `donor`, perhaps itself."""
        copies = (one.copy for one in self.copying.values())
        return any(copy and copy.donor == donor.trial_id and copy.checkpoint is None for copy in copies)

    def _hand_out(self, donor: Trial, *, to_itself: bool = False) -> list[Command]:
        """Let those that wait for a checkpoint of `donor` have its latest, if it has any."""
        commands: list[Command] = []
        for one in list(self.copying.values()):
            waits = one.copy is not None and one.copy.donor == donor.trial_id and one.copy.checkpoint is None
            if waits and donor.checkpoint is not None and (to_itself or one is not donor):
                self._hold_for_copy(one, donor, donor.checkpoint)
                if one is not donor and one.state.live:
                    commands.append(Nudge(one.trial_id, one.attempt))
        return commands

    def _become_copy(self, trial: Trial, event: Exploited) -> list[Command]:
        """The trial goes on where the donor's checkpoint was saved, and counts from there."""
        copy = trial.copy
        assert copy is not None
        assert copy.checkpoint is not None
        assert copy.point is not None
        commands = self._keep(trial, copy.checkpoint, copy.point) + self._forget_copy(trial)
        trial.config = dict(event.config)
        trial.told_iteration = copy.checkpoint.iteration
        trial.saving.forgive()
        return commands

    def _forget_copy(self, trial: Trial) -> list[Command]:
        copy, trial.copy = trial.copy, None
        self.copying.pop(trial.trial_id, None)
        self._file(trial)
        return [*self._let_go(copy.checkpoint)] if copy is not None and copy.checkpoint is not None else []

    def copies_due(self) -> list[Exploited | ExploitDropped]:
        """The copies that can be made now, and those that can be made no more."""
        events: list[Exploited | ExploitDropped] = []
        for name, trial in self.copying.items():
            copy = trial.copy
            assert copy is not None
            if copy.checkpoint is None:
                donor = self.trials[copy.donor]
                if not donor.may_save and donor is not trial:
                    why = f"{copy.donor} is {donor.state.value.lower()} and has saved no checkpoint to copy"
                    events.append(ExploitDropped(name, copy.donor, why))
            elif not trial.state.live:
                assert copy.point is not None
                totals = copy.point.totals
                so_far = (totals.seconds, totals.timesteps, totals.episodes)
                events.append(Exploited(name, copy.donor, copy.checkpoint, copy.config, *so_far))
        return events


def request_of(resources: object) -> Request:
    """The request for one bundle of these amounts.

    Raises:
        ValueError: they are no amounts.
    """
    if not isinstance(resources, dict):
        raise ValueError(f"resources must be a dictionary such as {{'cpu': 2}}, got {resources!r}")
    return Request((Resources.of(resources),))
