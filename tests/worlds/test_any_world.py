"""The same worlds, turn by turn: hypothesis says what goes wrong next, and finds the shortest way to what breaks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.worlds import invariants
from tests.worlds.play import Errors, Play
from tests.worlds.world import Mishap, Move, World, draw

SELDOM = {Mishap.SEARCHER_RAISES, Mishap.SCHEDULER_RAISES, Mishap.SCHEDULER_BREAKS, Mishap.CALLBACK_RAISES}
NEVER_DUE = Move(10**9, Mishap.SCHEDULER_RAISES, 0.0)  # so that the scheduler can be made to raise


def world_of(seed: int) -> World:
    """The world of this seed, in which what hangs is ended, and what goes wrong is not decided yet."""
    world = draw(seed)
    return replace(world, plan=replace(world.plan, report_timeout_s=5.0), moves=(NEVER_DUE,))


class AnyWorld(RuleBasedStateMachine):
    """Plays a world with hypothesis as its fate."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = Errors()
        self.errors.__enter__()
        self.goes_on = True

    @initialize(seed=st.integers(0, 10_000))
    def open(self, seed: int) -> None:
        self.play = Play(world_of(seed))

    @precondition(lambda self: self.goes_on)
    @rule(turns=st.integers(1, 4))
    def go_on(self, turns: int) -> None:
        for _ in range(turns):
            self.goes_on = self.goes_on and self.play.turn()

    @precondition(lambda self: self.goes_on)
    @rule(mishap=st.sampled_from([one for one in Mishap if one not in SELDOM]), at=st.floats(0, 1, exclude_max=True))
    def go_wrong(self, mishap: Mishap, at: float) -> None:
        self.play.meet(mishap, at)

    @precondition(lambda self: self.goes_on and not self.play.spoiled)
    @rule(mishap=st.sampled_from(sorted(SELDOM)), at=st.floats(0, 1, exclude_max=True))
    def be_spoiled(self, mishap: Mishap, at: float) -> None:
        self.play.meet(mishap, at)

    @precondition(lambda self: not self.goes_on)
    @rule()
    def take_up_again(self) -> None:
        self.play.open()
        self.goes_on = True

    def teardown(self) -> None:
        """Nothing goes wrong any more: what runs ends, and taken up once more it is over."""
        try:
            if hasattr(self, "play"):
                self._come_to_the_end()
        finally:
            self.errors.__exit__()

    def _come_to_the_end(self) -> None:
        for _ in range(2):
            while self.goes_on:
                self.goes_on = self.play.turn()
            if self.play.unfinished:
                self.play.open()
                self.goes_on = True
        invariants.all_ends(self.play, something_went_wrong=not self.play.unfinished)
        if not self.play.spoiled:
            invariants.nothing_raises(self.errors.said)


TestAnyWorld = AnyWorld.TestCase
TestAnyWorld.settings = settings(max_examples=60, stateful_step_count=30)
