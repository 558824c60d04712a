"""One world: an experiment, the trials it will meet, and what goes wrong when. A seed decides all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from random import Random

from tests.worlds.policies import SCHEDULERS, SEARCHERS, SPACES
from tune.machine.plan import Plan, Retention


class Mishap(StrEnum):
    """What may go wrong, and what people may do, between two turns of the loop."""

    RAISE = "a trial raises at its next step"
    EXIT = "a trial exits at its next step"
    HANG = "a trial hangs from its next step on"
    LINGER = "a trial goes on although it was told to leave"
    DISK_FULL = "a trial finds no room on the disk at its next save"
    SLOW_SAVE = "a trial takes longer to save when it is asked to than any may be silent"
    SAVE_RAISES = "a trial's next save raises, which it catches"
    CRASH = "a trial's process ends by a signal of its own"
    KILL = "a trial's process is killed from outside"
    NO_MEMORY = "a trial's process runs out of memory"
    NODE_LOST = "a node is lost, and comes back later"
    DAMAGE = "a saved checkpoint is damaged"
    LATE = "the last word of an old attempt comes once more"
    CTRL_C = "somebody presses Ctrl-C"
    CTRL_C_TWICE = "somebody presses Ctrl-C twice"
    DRIVER_KILLED = "the driver is killed"
    KILLED_BEFORE = "the driver is killed before a commit"
    KILLED_AFTER = "the driver is killed after a commit, before its effects"
    POWER_CUT = "the power fails, and takes the end of the journal along"
    SEARCHER_RAISES = "the search algorithm raises"
    SCHEDULER_RAISES = "the scheduler raises"
    SCHEDULER_BREAKS = "the scheduler raises from now on, whatever it is asked"
    CALLBACK_RAISES = "a callback raises from now on"


DEATHS = (Mishap.DRIVER_KILLED, Mishap.KILLED_BEFORE, Mishap.KILLED_AFTER)


@dataclass(frozen=True, slots=True)
class Move:
    """At the beginning of a turn something goes wrong; `at`, from 0 to 1, says with whom or how far."""

    turn: int
    mishap: Mishap
    at: float

    def __str__(self) -> str:
        return f"turn {self.turn}: {self.mishap} ({self.at:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the trials of a world behave when nothing goes wrong.

    `saving` is how a checkpoint comes: ``offers`` one, ``brings`` one with its report, ``never``, or now this and now
    that; with `aside` it is saved while the trial goes on. The odds are of each report, those of an
    `early_end` of each trial.
    """

    epochs: int = 5
    saving: str = "offers"
    aside: bool = False
    uneven: bool = False
    nan: float = 0.0
    missing: float = 0.0
    returns: bool = False
    says_done: bool = False
    asks: bool = False
    early_end: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an experiment is asked to be and what it meets. `lag` is how many commits the journal may be behind."""

    seed: int
    space: str = "plain"
    searcher: str = "random"
    scheduler: str = "fifo-0"
    trials: int = 4
    nodes: int = 1
    cpus: int = 2
    reuse: bool = False
    lag: int = 0
    watched: bool = False
    reopens: str = ""
    plan: Plan = field(default_factory=Plan)
    habits: Habits = field(default_factory=Habits)
    moves: tuple[Move, ...] = ()

    @property
    def announces(self) -> bool:
        """Whether its trials say that they begin, as they do where somebody waits for it."""
        return not (self.plan.start_timeout_s is self.plan.report_timeout_s is None)

    @property
    def spoils_the_scheduler(self) -> bool:
        """Whether its scheduler is made to raise."""
        return any(move.mishap in (Mishap.SCHEDULER_RAISES, Mishap.SCHEDULER_BREAKS) for move in self.moves)

    @property
    def loses_only_drivers(self) -> bool:
        """Whether its trials run one at a time and nothing but drivers die: then it comes to the same as without.

        Not where time decides, which goes on while things are done again, nor where it decides what is saved by then.
        """
        plan = self.plan
        timed = self.habits.aside or not (plan.trial_timeout_s is plan.time_budget_s is None)
        return plan.max_concurrent == 1 and not timed and all(move.mishap in DEATHS for move in self.moves)

    def __str__(self) -> str:
        lines = [f"world {self.seed}: {self.trials} trials of {self.habits.epochs} epochs, space {self.space}"]
        lines[0] += f", {self.searcher} search, scheduler {self.scheduler}"
        lines.append(f"  {self.nodes} nodes of {self.cpus} cpus, lag {self.lag}, {_unusual(self.plan)}")
        lines.append(f"  {_unusual(self.habits)}" + ", reuses processes" * self.reuse + ", watched" * self.watched)
        return "\n".join([*lines, *(f"  {number}. {move}" for number, move in enumerate(self.moves))])


def _unusual(settings: Plan | Habits) -> str:
    usual = type(settings)()
    pairs = ((each.name, getattr(settings, each.name)) for each in fields(settings))
    told = [f"{name}={value}" for name, value in pairs if value != getattr(usual, name) and name != "metrics"]
    return f"{type(settings).__name__.lower()}({', '.join(told)})"


def draw(seed: int) -> World:
    """The world of this seed."""
    chance = Random(seed)
    world = World(
        seed=seed,
        space=_one_of(chance, SPACES),
        searcher=_one_of(chance, SEARCHERS),
        scheduler=_one_of(chance, SCHEDULERS),
        trials=chance.choice((1, 2, 2, 3, 3, 4, 5)),
        nodes=chance.choice((1, 1, 2, 3)),
        cpus=chance.choice((1, 2, 2, 4)),
        reuse=chance.random() < 0.2,
        lag=chance.choice((0, 0, 0, 1, 3)),
        watched=chance.random() < 0.2,
        reopens=chance.choice(("", "", "", "errored", "restart")),
        plan=_plan(chance, seed),
        habits=_habits(chance),
    )
    if chance.random() < 0.15:
        return _in_a_row(chance, world)
    moves = sorted((_move(chance) for _ in range(_few(chance))), key=lambda move: move.turn)
    if any(move.mishap is Mishap.HANG for move in moves) and not _ends_hangs(world.plan):
        world = replace(world, plan=replace(world.plan, report_timeout_s=chance.choice((3.0, 20.0))))
    return replace(world, moves=tuple(moves))


def _one_of(chance: Random, weights: dict[str, float]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _few(chance: Random) -> int:
    return min(int(chance.expovariate(0.4)), 8)


def _move(chance: Random) -> Move:
    mishap = chance.choices(list(_LIKELY), list(_LIKELY.values()))[0]
    return Move(int(chance.expovariate(1 / 12)), mishap, chance.random())


_LIKELY = dict.fromkeys(Mishap, 2.0) | {
    Mishap.KILL: 4.0,
    Mishap.RAISE: 4.0,
    Mishap.DRIVER_KILLED: 4.0,
    Mishap.KILLED_BEFORE: 4.0,
    Mishap.KILLED_AFTER: 4.0,
    Mishap.SCHEDULER_BREAKS: 0.5,
}


def _in_a_row(chance: Random, world: World) -> World:
    """A world whose trials run one at a time while its driver dies again and again."""
    moves = [Move(int(chance.expovariate(1 / 12)), chance.choice(DEATHS), chance.random()) for _ in range(3)]
    plan = replace(world.plan, max_concurrent=1, time_budget_s=None, trial_timeout_s=None, max_infra_failures=10)
    moves.sort(key=lambda move: move.turn)
    return replace(world, plan=plan, moves=tuple(moves), reopens="")


def _plan(chance: Random, seed: int) -> Plan:
    retention = Retention(
        frequency=chance.choice((0, 1, 1, 2)),
        at_end=chance.random() < 0.3,
        num_to_keep=chance.choice((None, 1, 2, 2)),
    )
    return Plan(
        metrics=("loss",),
        modes=("min",),
        seed=seed,
        max_concurrent=chance.choice((None, None, 1, 2)),
        max_failures=chance.choice((0, 0, 1, 2, -1)),
        max_infra_failures=chance.choice((10, 10, 1, 0)),
        report_timeout_s=chance.choice((None, None, None, 20.0)),
        trial_timeout_s=chance.choice((None, None, None, None, 7.0)),
        start_timeout_s=chance.choice((None, None, None, 15.0)),
        fail_fast=chance.random() < 0.05,
        time_budget_s=chance.choice((None,) * 9 + (9.0,)),
        retention=retention,
    )


def _ends_hangs(plan: Plan) -> bool:
    return not (plan.report_timeout_s is plan.trial_timeout_s is plan.time_budget_s is None)


def _habits(chance: Random) -> Habits:
    return Habits(
        epochs=chance.choice((1, 2, 2, 3, 3, 4, 4, 5, 7, 9)),
        saving=chance.choice(("offers", "offers", "offers", "brings", "never", "mixed")),
        aside=chance.random() < 0.3,
        uneven=chance.random() < 0.5,
        nan=chance.choice((0.0, 0.0, 0.0, 0.2, 1.0)),
        missing=chance.choice((0.0, 0.0, 0.0, 0.0, 0.2)),
        returns=chance.random() < 0.2,
        says_done=chance.random() < 0.2,
        asks=chance.random() < 0.1,
        early_end=chance.choice((0.0, 0.0, 0.3)),
    )
