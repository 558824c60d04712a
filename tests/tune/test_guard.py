"""What keeps an experiment from policies that raise, or that wait for a time which brings nothing."""

from __future__ import annotations

import pytest

from schedulers.base import NEVER
from tests.tune.arena import bound
from tests.tune.bench import Bench, Script
from tune.machine.events import Opened, SwitchedOff
from tune.machine.guard import MOST_STOPPER_ERRORS, Guard, guarded
from tune.machine.stopping import CombinedStopper, MaximumIterationStopper, Stopper


class Unsure(Stopper):
    """Raises at every result."""

    def __call__(self, trial_id, result):
        raise KeyError("accuracy")


class Sparse(Stopper):
    """Looks at what is reported now and then."""

    def __call__(self, trial_id, result):
        return result["accuracy"] > 0.9


class Late(Stopper):
    """Would be asked at second 5, and has nothing to say then."""

    def __call__(self, trial_id, result):
        return False

    @property
    def deadline_s(self):
        return 5.0


def test_only_errors_in_a_row_at_the_same_question_switch_off() -> None:
    off: list[SwitchedOff] = []
    guard = Guard("scheduler", "Mine", 2, off.append)
    for question, fails in [("a", True), ("b", True), ("a", False), ("a", True), ("b", False), ("a", False)]:
        answer = guard.ask(question, "t0", lambda fails=fails: 1 // (not fails), "instead")
        assert (answer, guard.raised) == ("instead" if fails else 1, fails)
    assert not off
    for _ in range(3):
        guard.ask("a", "t0", lambda: 1 // 0, None)
    assert off == [SwitchedOff("scheduler", "Mine", "ZeroDivisionError: integer division or modulo by zero")]


def test_a_stopper_that_is_off_holds_up_nothing() -> None:
    off: list[SwitchedOff] = []
    stopper = guarded(Unsure(), off.append)
    assert stopper is not None
    assert [stopper.why("t0", {}) for _ in range(MOST_STOPPER_ERRORS)] == [""] * MOST_STOPPER_ERRORS
    assert [each.part for each in off] == ["stopper"]
    assert (stopper.free_until("t0", 1), stopper.deadline_s, stopper.stop_all()) == (NEVER, None, False)


def test_a_stopper_that_raises_until_its_value_was_reported_is_asked_on_however_many_trials_run() -> None:
    off: list[SwitchedOff] = []
    stopper = guarded(Sparse(), off.append)
    assert stopper is not None
    for epoch in range(1, 11):
        for trial_id in ("t0", "t1", "t2", "t3"):
            assert bool(stopper.why(trial_id, {"accuracy": 1.0} if epoch == 10 else {})) == (epoch == 10)
    assert not off


def test_a_stopper_that_no_trial_ever_had_an_answer_of_is_asked_no_more() -> None:
    off: list[SwitchedOff] = []
    stopper = guarded(Unsure(), off.append)
    assert stopper is not None
    for number in range(MOST_STOPPER_ERRORS + 1):
        stopper.why(f"t{number}", {})
        stopper.on_trial_end(f"t{number}")
    assert len(off) == 1


def test_of_stoppers_any_of_which_may_end_a_trial_each_is_guarded_by_itself() -> None:
    stopper = guarded(CombinedStopper(Unsure(), MaximumIterationStopper(3)), lambda off: None)
    assert stopper is not None
    assert stopper.why("t0", {"training_iteration": 3}) == "it reached max_iter (3)"


def test_a_time_that_came_and_brought_nothing_is_not_waited_for_again() -> None:
    bench = Bench(stop=Late())
    bench.start()
    assert bench.experiment.next_deadline == 5.0
    assert bench.experiment.due(5.0) == []
    assert bench.experiment.next_deadline is None


@pytest.mark.parametrize("hook", ["on_trial_add", "on_trial_start", "on_trial_complete"])
def test_a_scheduler_that_raises_at_what_it_is_told_gives_way_once(hook: str) -> None:
    scheduler = Script()
    setattr(scheduler, hook, lambda *told: 1 // 0)
    bench = Bench(scheduler=scheduler, samples=6)
    for number in range(6):
        bench.start(f"t{number}")
        bench.end(f"t{number}")
    assert [event.part for event in bench.events(SwitchedOff)] == ["scheduler"]
    assert len(bench.experiment.switched_off) == 1


def test_a_policy_that_was_switched_off_is_tried_again_when_the_run_goes_on() -> None:
    scheduler = Script()
    scheduler.on_trial_result = lambda trial, result: 1 // 0  # type: ignore[method-assign]
    bench = Bench(scheduler=scheduler)
    bench.start()
    for _ in range(3):
        bench.report()
    assert bench.experiment.switched_off
    policies = bound({}, 4, searcher=bench.searcher, scheduler=Script())
    again = type(bench.experiment)(bench.plan, policies)
    for entry in bench.experiment.take_entries():
        again.replay(entry)
    assert again.switched_off == bench.experiment.switched_off
    again.handle(Opened("here"), bench.now, 0.0)
    assert again.switched_off == []
