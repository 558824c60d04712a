"""What one trial is asked to save, what it saves just now, and how it leaves once it has: what may follow what.

A trial saves at once, silent until it has, or aside, while it goes on. One of each may be under way: what is asked for
at once while another is saved aside comes after that.

What is asked for is due from some iteration on. It comes with the first checkpoint of that iteration or a later one,
and is still due when an earlier one comes meanwhile. A trial that was told to leave once it has saved is owed that
until then: when its controller dies before, it comes to the same place again, saves there, and leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schedulers.base import Pause, Stop
from tune.machine.totals import Point


class Aside(NamedTuple):
    """Where a trial stood whose checkpoint is saved while it goes on; `caught_up` if that was where it had been."""

    point: Point
    caught_up: bool


class Completed(NamedTuple):
    """A checkpoint of where a trial stood at `point`.

    `is_due` if it is what was asked for; otherwise `is_for_others` as well, unless those who wait have time until the
    trial has come there again.
    """

    point: Point
    is_due: bool
    is_for_others: bool


@dataclass(slots=True)
class Saving:
    """How far one trial is with saving. Read its fields freely; only the machine's fold changes them.

    `at_once` and `aside` are what is under way. `due` is the iteration from which on it is to save, whatever the plan
    says, until it has (0: none is); `owed` is how it was told to leave then. One that `retraces` comes to the same
    place again because its controller died.
    """

    at_once: bool = False
    aside: Aside | None = None
    due: int = 0
    owed: Pause | Stop | None = None
    retraces: bool = False

    @property
    def under_way(self) -> bool:
        """Whether anything is being saved."""
        return self.at_once or self.aside is not None

    def is_asked_for(self, iteration: int) -> bool:
        """Whether it is to save what it reports at `iteration`: some save is due then, and not under way."""
        comes_aside = self.aside is not None and self.aside.point.totals.iteration >= self.due
        return 0 < self.due <= iteration and not comes_aside

    # What it is asked for.

    def ask_from(self, iteration: int) -> None:
        """Somebody wants a checkpoint, of `iteration` or later; what is due before will do."""
        self.due = self.due or iteration

    def ask_at(self, iteration: int) -> None:
        """The trial itself wants the checkpoint of `iteration`, and none before."""
        self.due = iteration

    def take_report(self, iteration: int, *, saves: bool, caught_up: bool, leaves: Pause | Stop | None) -> None:
        """It reported, and `saves` that or not; it `leaves` so then, if it is where it has been."""
        self.at_once = False
        if saves:
            self.due = max(self.due, iteration)  # on its way to where more was asked for it may save as well
        if caught_up:
            self.owed = leaves if saves else None

    # How it saves.

    def begin(self) -> None:
        """It saves at once."""
        self.at_once = True

    def begin_aside(self, point: Point, *, caught_up: bool) -> None:
        """It saves where it stands, and goes on."""
        self.at_once, self.aside = False, Aside(point, caught_up)

    def complete(self) -> Completed:
        """What it saves aside is complete, as all is that was begun so."""
        assert self.aside is not None
        (point, caught_up), self.aside = self.aside, None
        is_due = point.totals.iteration >= self.due  # perhaps another was asked for meanwhile
        if is_due:
            self.due, self.owed = 0, None
        return Completed(point, is_due, is_for_others=is_due or caught_up or not self.retraces)

    def fail(self, iteration: int, *, at_once: bool, awaited: bool) -> None:
        """A save failed: `at_once`, of `iteration`, or aside. If it was what is due, it is still so when `awaited`."""
        if at_once or self.aside is None:
            self.at_once = False
        else:
            iteration = self.aside.point.totals.iteration
        self.aside = None
        if iteration >= self.due:  # otherwise what was asked for is still to come
            self.due, self.owed = self.due if awaited else 0, None

    # How attempts come and go.

    def launch(self) -> None:
        """Another attempt begins: nothing is under way."""
        self.at_once, self.aside = False, None

    def leave(self, *, again: bool, due: int) -> None:
        """The attempt is over. One that comes `again` to the same place saves there; others at `due`, or never (0)."""
        self.retraces = again
        if not again:
            self.due = due

    def forgive(self) -> None:
        """The trial is not to leave any more as it was told to: it is over, or another's copy."""
        self.owed = None
