"""Plays a world: the real loop, machine, policies and codec in virtual time, and all goes wrong that its moves say."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from executor.resources import Node, Resources
from schedulers.base import ScheduleContext
from tests.worlds import invariants
from tests.worlds.ground import DriverKilled, Ground, MemoryJournal
from tests.worlds.ledger import Ledger
from tests.worlds.life import Disk, Life
from tests.worlds.mishaps import happen
from tests.worlds.policies import Mood, MoodyScheduler, Witness, make_scheduler, make_searcher
from tests.worlds.world import Mishap, Move, World
from tune.callback import Callback
from tune.crew import Crew
from tune.loop import Loop
from tune.machine.events import Entry, Event, Reported, Suggested
from tune.machine.experiment import Experiment
from tune.machine.policies import Policies
from tune.notices import NoticesAtOnce, Telling
from tune.reopening import Reopening
from tune.storage.codec import Row, to_entry

MOST_TURNS = 3000
"""Far more than any world takes whose experiment ends."""

_NOWHERE = Path("/nonexistent")
_OURS = [logging.getLogger(name) for name in ("executor", "schedulers", "searchers", "tune")]


class Grumbling(Callback):
    """Raises at each result when it is in the mood."""

    def __init__(self, mood: Mood) -> None:
        self._mood = mood

    def on_trial_result(self, **information: Any) -> None:
        self._mood.show()


class Play:
    """One world, turn by turn. What outlives the driver is kept here; `open` takes the experiment up, again and again.

    `told` is the story so far: moves, and committed entries. It is `spoiled` once a policy was made to raise.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: list[Row] = []
        self.told: list[str | Move | Entry] = []
        self.ledger = Ledger()
        self.disk = Disk()
        self.fates: dict[str, Mishap] = {}
        self.turns = 0
        self.nodes = [Node(f"n{number}", Resources.of(cpu=world.cpus)) for number in range(world.nodes)]
        self.capacity = {node.name: node.capacity.units()["cpu"] for node in self.nodes}
        self.coming_back: list[tuple[int, str]] = []
        self.spoiled = False
        self.reopens = world.reopens
        self.open()

    # The driver's life.

    def open(self, before: Experiment | None = None) -> None:
        """A driver takes the experiment up from its journal, for the first time or again.

        All that the driver `before` it knew, if it is given, was committed.
        """
        world = self.world
        self.moods = {one: Mood() for one in ("searcher", "scheduler", "callback")}
        self.witness = Witness(
            make_searcher(world.searcher, world.space, world.trials, world.seed), self.moods["searcher"]
        )
        self.experiment = self._read_back()
        if before is not None:
            invariants.stands_where_it_stood(before, self.experiment)
        self.journal = MemoryJournal(self.rows, self._committed, world.lag)
        self.ground = Ground(self.nodes, self.journal, self._starts)
        self.fates.clear()
        self.coming_back.clear()
        program = self.ground.prepare(Life(world, self.disk, self.fates, self._acknowledged))
        crew = Crew(self.ground, program, _NOWHERE, reuse=world.reuse, logs=False, keeper=self.disk)
        self.loop = Loop(self.experiment, self.ground, self.journal, crew)
        if world.watched:
            grumbling = [Grumbling(self.moods["callback"])]
            telling = Telling(grumbling, self.experiment.trials.values(), self.loop.post)
            self.loop.observe(NoticesAtOnce(telling, self.experiment))
        self.loop.open(self._amending if self.rows else None)

    def _read_back(self) -> Experiment:
        scheduler = make_scheduler(self.world.scheduler)
        if self.world.spoils_the_scheduler:
            scheduler = MoodyScheduler(scheduler, self.moods["scheduler"])
        scheduler.bind(ScheduleContext("loss", "min", self.world.seed, self.witness.total_trials))
        experiment = Experiment(self.world.plan, Policies(scheduler, self.witness, None, ("loss",)))
        for row in self.rows:
            entry = to_entry(row, code=True)
            experiment.replay(entry)
            invariants.leads_where_it_led(entry, experiment)
        self.disk.sweep({kept.path for kept in experiment.kept_checkpoints})
        return experiment

    def _amending(self, experiment: Experiment) -> Iterator[Event]:
        wish, self.reopens = self.reopens, ""
        reopening = Reopening(errored=wish == "errored", restart_errored=wish == "restart")
        yield from reopening.events(experiment, None)

    def turn(self) -> bool:
        """One turn of the loop; False when the run has ended in good order."""
        self.turns += 1
        invariants.ends_in_time(self.turns, MOST_TURNS)
        for due, node in list(self.coming_back):
            if due <= self.turns:
                self.coming_back.remove((due, node))
                self.ground.regain(node)
        try:
            goes_on = self.loop.turn()
            if not goes_on:
                self.loop.run()
        except DriverKilled:
            self.kill_driver()
            return True
        if not goes_on:
            for agrees in invariants.OF_ENDS:
                agrees(self)
        return goes_on

    def meet(self, mishap: Mishap, at: float) -> None:
        """Let something go wrong before the next turn."""
        self.told.append(Move(self.turns, mishap, at))
        happen(self, mishap, at)

    def kill_driver(self) -> None:
        """The driver is dead, and all that ran; another takes the experiment up."""
        before = self.experiment if self.all_is_committed else None
        self.told.append("the driver is dead, and another takes the experiment up")
        self.open(before)

    def cut_power(self, rows: int) -> None:
        """The machine stops, and the last rows are gone: what they acknowledged was lost, and nothing else is."""
        del self.rows[-rows:]
        self.ledger = Ledger(to_entry(row, code=True) for row in self.rows)
        for account in self.ledger.accounts.values():
            for saved in account.saved:  # what the lost rows had let go of is deleted all the same
                self.disk.whole.setdefault(saved.path, False)
        self.open()

    @property
    def all_is_committed(self) -> bool:
        """Whether the ledger knows all that the experiment does."""
        return self.experiment.position == len(self.rows)

    @property
    def unfinished(self) -> list[str]:
        """The trials that are not over."""
        return [name for name, trial in self.experiment.trials.items() if not trial.state.final]

    # What the rest of the world reports.

    def _committed(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for holds in invariants.OF_ENTRIES:
                holds(self.ledger, entry)
            self.ledger.take(entry)
        self.told += entries
        if self.all_is_committed:
            for agrees in invariants.OF_COMMITS:
                agrees(self)

    def _acknowledged(self, trial_id: str, attempt: int, iteration: int) -> None:
        invariants.acknowledged_is_committed(self.ledger, trial_id, attempt, iteration)

    def _starts(self, call_id: str) -> None:
        invariants.starts_alone(self.ledger, call_id, self.ground.running)

    # What came of it.

    def course(self) -> dict[Any, tuple[Any, ...]]:
        """Which configurations were suggested, what was first decided on each iteration, and how each trial ended."""
        found: dict[Any, tuple[Any, ...]] = {}
        for row in self.rows:
            entry = to_entry(row, code=True)
            event = entry.event
            if isinstance(event, Suggested):
                found[event.trial_id] = (repr(event.config),)
            elif isinstance(event, Reported) and entry.verdict is not None:
                decided = (repr(event.metrics), repr(entry.verdict.decision))
                found.setdefault(f"{event.trial_id} at {entry.iteration}", decided)
        ends = {f"{name} ends": (one.state, one.reason) for name, one in self.experiment.trials.items()}
        return {**found, **ends}


def play(world: World) -> Play:
    """Play a world to its end.

    Raises:
        BrokenInvariantError: an invariant does not hold. As any other error it carries what was played, as `played`.
    """
    with Errors() as errors:
        return play_heard(world, errors)


def play_heard(world: World, errors: Errors) -> Play:
    """`play` where `errors` hears what is logged: for one world after the other."""
    errors.forget()
    played = Play(world)
    try:
        _play_out(played)
        if not played.spoiled:
            invariants.nothing_raises(errors.said)
        if world.loses_only_drivers and world.moves:
            whole = Play(replace(world, moves=()))
            _play_out(whole)
            invariants.comes_to_the_same(played.course(), whole.course())
    except Exception as error:
        error.played = played  # type: ignore[attr-defined]
        raise
    return played


def _play_out(played: Play) -> None:
    """Let the moves happen, each in its turn, and go on with the experiment until it is over."""
    moves = deque(played.world.moves)
    while True:
        left = len(moves)
        while _goes_on(played, moves):
            pass
        reopens = bool(played.reopens)
        if not played.unfinished and not reopens:
            return
        invariants.all_ends(played, something_went_wrong=len(moves) < left or reopens)
        played.open()


def _goes_on(played: Play, moves: deque[Move]) -> bool:
    while moves and moves[0].turn <= played.turns:
        move = moves.popleft()
        played.meet(move.mishap, move.at)
    return played.turn()


class Errors(logging.Handler):
    """What is logged as an error meanwhile, instead of being shown; nothing below that is logged at all."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    @property
    def said(self) -> list[str]:
        """What was logged, each with its traceback."""
        return [logging.Formatter().format(record) for record in self._records]

    def forget(self) -> None:
        """Hear of another world."""
        self._records.clear()

    def __enter__(self) -> Self:
        self._before = [(logger.level, logger.propagate) for logger in _OURS]
        for logger in _OURS:
            logger.addHandler(self)
            logger.setLevel(logging.ERROR)
            logger.propagate = False
        return self

    def __exit__(self, *exc: object) -> None:
        for logger, (level, propagate) in zip(_OURS, self._before, strict=True):
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate
