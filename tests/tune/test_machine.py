"""The experiment as a machine: events in, commands out. No process, no file, no clock."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest

from executor.resources import Request, Resources
from schedulers.base import Continue, Decision, Pause, Save, Stop, TrialScheduler
from searchers.base import FINISHED
from tests.tune.arena import bound
from tests.tune.bench import DIED, KILLED, RAISED, Bench, Listening, Script, make_plan, only, ref
from tune.machine.events import (
    Begun,
    CheckpointRef,
    CheckpointRefused,
    Closing,
    DeleteCheckpoint,
    Dismissed,
    Failed,
    Failure,
    Finished,
    GoOn,
    Interrupted,
    Kill,
    Leave,
    Nudge,
    Opened,
    Overdue,
    ParameterGiven,
    Reply,
    Reported,
    SaveBegun,
    Saved,
    SaveFailed,
    SaveNow,
    SearchEnded,
    SetAside,
    Suggested,
    Take,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan, Retention
from tune.machine.trial import TRANSITIONS, Trial, TrialState, Turn

# The table.


@pytest.mark.parametrize(("state", "turn"), list(itertools.product(TrialState, Turn)))
def test_every_turn_is_in_the_table_or_impossible(state: TrialState, turn: Turn) -> None:
    trial = Trial(0, "t0", {}, state)
    if turn in TRANSITIONS[state]:
        trial.turn(turn)
        assert trial.state is TRANSITIONS[state][turn]
    else:
        with pytest.raises(AssertionError, match="t0"):
            trial.turn(turn)


def test_every_live_state_can_end_in_every_way_and_final_states_change_only_when_reopened() -> None:
    endings = {Turn.LEFT, Turn.RETURNED, Turn.FAILED, Turn.FAILED_FOR_GOOD, Turn.INTERRUPTED}
    told = {Turn.TOLD_TO_STOP, Turn.TOLD_TO_PAUSE, Turn.TOLD_TO_SUSPEND}
    for state in TrialState:
        turns = set(TRANSITIONS[state]) - {Turn.INTERRUPTED_SAVING}
        idle = {Turn.REOPENED} if state.final else {Turn.LAUNCHED, Turn.DISMISSED}
        assert turns == (endings | told if state.live else idle)
        for turn in turns & endings:
            assert not TRANSITIONS[state][turn].live


# A decision stands, however the process then ends.


@pytest.mark.parametrize("failure", [DIED, RAISED, KILLED])
def test_a_trial_told_to_stop_that_then_crashes_is_stopped(failure: Failure) -> None:
    bench = Bench(scheduler=Script(t0_1=Stop("bad")))
    bench.start()
    assert bench.answer() == Leave("bad")
    bench.fail(failure=failure)
    assert bench.state() == "TERMINATED"
    assert bench.trial().reason == "bad"
    assert bench.trial().failures == 0
    assert bench.searcher.completed == [("t0", 1.0, False)]


@pytest.mark.parametrize("failure", [DIED, RAISED, KILLED])
def test_a_trial_told_to_pause_that_then_crashes_is_paused_with_its_last_checkpoint(failure: Failure) -> None:
    bench = Bench(scheduler=Script(t0_2=Pause()))
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    bench.save()
    assert bench.answer(offers=True) == SaveNow()
    assert only(Reply, bench.save()).answer == Leave()
    bench.fail(failure=failure)
    assert bench.state() == "PAUSED"
    assert bench.experiment.launch("t0").checkpoint.iteration == 2


def test_a_trial_that_dies_while_it_saves_for_a_pause_is_paused_with_the_checkpoint_before() -> None:
    bench = Bench(scheduler=Script(t0_2=Pause()))
    bench.start()
    bench.answer(offers=True)
    bench.save()
    bench.answer(offers=True)
    bench.fail(failure=DIED)
    assert bench.state() == "PAUSED"
    assert bench.experiment.launch("t0").checkpoint.iteration == 1


def test_a_trial_whose_save_function_raises_for_a_pause_has_failed() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause()))
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    bench.fail(failure=RAISED)
    assert bench.state() == "ERROR"
    assert bench.trial().failure == RAISED


@pytest.mark.parametrize("failure", [DIED, RAISED, KILLED])
def test_a_suspended_trial_that_then_crashes_waits_for_the_resume(failure: Failure) -> None:
    bench = Bench()
    bench.start()
    bench.happen(Closing("interrupted", keep=True))
    bench.fail(failure=failure)
    assert bench.state() == "PENDING"


def test_a_trial_told_to_pause_that_returns_instead_is_finished() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause()))
    bench.start()
    bench.report()
    bench.end(metrics={"loss": 0.5}, seconds=1.0)
    assert bench.state() == "TERMINATED"
    assert bench.trial().last_result["loss"] == 0.5


def test_a_stop_during_a_pause_wins_and_a_pause_during_a_stop_does_not() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause(), t1_1=Stop("bad"), t1_2=Pause()))
    bench.start("t0")
    bench.start("t1")
    bench.report("t0")
    bench.report("t1")
    bench.report("t1")
    bench.happen(Closing("the time budget is spent"))
    assert (bench.state("t0"), bench.state("t1")) == ("STOPPING", "STOPPING")


def test_a_trial_that_leaves_unasked_is_finished_and_not_started_again() -> None:
    bench = Bench()
    bench.start()
    bench.report()
    bench.end(by_order=True)
    assert bench.state() == "TERMINATED"
    assert bench.searcher.completed == [("t0", 1.0, False)]


# Failures.


def test_max_failures_counts_further_attempts() -> None:
    bench = Bench(make_plan(max_failures=2))
    for attempt in (1, 2):
        assert bench.start().attempt == attempt
        bench.fail()
        assert bench.state() == "PENDING"
    bench.start()
    bench.fail()
    assert bench.state() == "ERROR"
    assert [event.final for event in bench.events(Failed)] == [False, False, True]
    assert bench.searcher.completed == [("t0", None, True)]


def test_with_minus_one_there_is_always_another_attempt() -> None:
    bench = Bench(make_plan(max_failures=-1))
    for _ in range(20):
        bench.start()
        bench.fail()
    assert bench.state() == "PENDING"
    assert bench.trial().failures == 20


def test_a_kill_of_ours_is_never_charged() -> None:
    bench = Bench()
    bench.start()
    bench.fail(failure=KILLED)
    assert bench.state() == "PENDING"
    assert bench.trial().failures == 0
    assert bench.trial().failure is None


def test_fail_fast_ends_the_others_at_the_first_trial_that_fails_for_good() -> None:
    bench = Bench(make_plan(fail_fast=True, max_failures=1))
    bench.start("t0")
    bench.start("t1")
    bench.fail("t0")
    assert bench.experiment.closing is None
    bench.start("t0")
    assert only(Nudge, bench.fail("t0")) == Nudge("t1", 1)
    assert "t0 failed" in bench.experiment.closing.reason
    assert bench.state("t1") == "STOPPING"


def test_fail_fast_overlooks_a_stopped_trial_that_crashes_on_its_way_out() -> None:
    plan = make_plan(fail_fast=True, retention=Retention(at_end=True))
    bench = Bench(plan, scheduler=Script(t0_1=Stop()))
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    bench.fail()
    assert bench.state() == "TERMINATED"
    assert bench.experiment.closing is None


# Time.


def test_a_time_budget_closes_the_experiment_for_good() -> None:
    bench = Bench(make_plan(time_budget_s=60.0))
    bench.start()
    assert bench.experiment.next_deadline == 60.0
    assert bench.experiment.due(59.9) == []
    bench.now = 60.0
    (closing,) = bench.experiment.due(bench.now)
    assert "60 s" in closing.reason
    assert not closing.keep
    assert only(Nudge, bench.happen(closing)) == Nudge("t0", 1)
    assert bench.experiment.wanted() is None
    assert bench.answer() == Leave(closing.reason)


def test_nothing_is_started_on_a_budget_that_is_spent() -> None:
    bench = Bench(make_plan(time_budget_s=60.0))
    bench.now = 61.0
    bench.happen(Finished())
    bench.happen(Opened("again"))
    assert bench.experiment.wanted() is None
    assert bench.experiment.idle


def test_who_does_not_leave_in_time_is_killed_once() -> None:
    bench = Bench(make_plan(grace_s=10.0), scheduler=Script(t0_1=Stop()))
    bench.start()
    bench.report()
    assert bench.experiment.next_deadline == 10.0
    bench.now = 10.0
    (overdue,) = bench.experiment.due(10.0)
    assert overdue == Overdue("t0", 1)
    assert only(Kill, bench.happen(overdue)).attempt == 1
    assert bench.answer() == Leave("")
    assert bench.experiment.due(100.0) == []
    assert bench.experiment.next_deadline is None
    bench.fail(failure=KILLED)
    assert bench.state() == "TERMINATED"


@pytest.mark.parametrize("told", [Stop(), Pause()])
def test_who_reports_on_after_it_was_told_to_leave_gets_no_more_time(told: Decision) -> None:
    plan = make_plan(grace_s=10.0, retention=Retention(at_end=True))
    bench = Bench(plan, scheduler=Script(t0_1=told))
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    assert bench.experiment.next_deadline is None  # a save takes as long as it takes
    assert only(Reply, bench.save()).answer == Leave()
    for bench.now in (3.0, 6.0, 9.0):
        assert bench.answer(offers=True) == Leave()
        assert bench.experiment.next_deadline == 10.0
    assert bench.experiment.due(10.0) == [Overdue("t0", 1)]


def test_an_interrupted_trial_has_a_limited_time_to_save() -> None:
    bench = Bench(make_plan(grace_s=10.0, suspend_s=30.0))
    bench.start()
    bench.happen(Closing("interrupted", keep=True))
    bench.now = 5.0
    assert bench.answer(offers=True) == SaveNow()
    assert bench.experiment.next_deadline == 30.0
    bench.now = 30.0
    assert bench.experiment.due(30.0) == [Overdue("t0", 1)]


def test_time_never_goes_back() -> None:
    bench = Bench()
    bench.now = 5.0
    bench.start()
    bench.now = 4.0
    bench.report()
    assert [entry.time for entry in bench.experiment.take_entries()] == [0.0, 5.0, 5.0, 5.0]


# Attempts.


def test_only_messages_of_the_running_attempt_count() -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    assert bench.experiment.current("t0", 1)
    bench.fail()
    assert not bench.experiment.current("t0", 1)
    bench.start()
    assert not bench.experiment.current("t0", 1)
    assert bench.experiment.current("t0", 2)


def test_each_attempt_has_the_same_seed_and_each_trial_another() -> None:
    bench = Bench(make_plan(max_failures=1))
    first, other = bench.start("t0"), bench.start("t1")
    bench.fail("t0")
    assert bench.start("t0").seed == first.seed != other.seed


def test_iterations_repeated_after_a_restart_are_told_once_and_numbered_as_before() -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    for value in (3.0, 2.0, 1.0):
        bench.report(loss=value, offers=value == 3.0)
        if value == 3.0:
            bench.save()
    bench.fail()
    assert bench.start().checkpoint.iteration == 1
    for value in (2.0, 1.0, 0.5):
        bench.report(loss=value)
    assert bench.searcher.results == [("t0", 3.0), ("t0", 2.0), ("t0", 1.0), ("t0", 0.5)]
    assert bench.scheduler.told == [("t0", 1), ("t0", 2), ("t0", 3), ("t0", 4)]
    assert bench.trial().last_result["training_iteration"] == 4
    assert bench.trial().last_result["time_total_s"] == 4.0
    assert bench.trial().last_result["iterations_since_restore"] == 3


def test_a_damaged_checkpoint_gives_way_to_the_one_before() -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    for _ in range(2):
        bench.answer(offers=True)
        bench.save()
    bench.fail()
    launched = bench.start()
    before, damaged = bench.trial().checkpoints
    assert launched.checkpoint == damaged
    aside, reply = bench.happen(CheckpointRefused("t0", 2, 1, damaged, "torn"))
    assert aside == SetAside(damaged)
    assert reply.answer == Take(before)
    assert bench.trial().checkpoints == [before]
    bench.report()
    assert bench.trial().totals.iteration == before.iteration + 1
    assert bench.experiment.take_entries()[-2].iteration == before.iteration
    _, reply = bench.happen(CheckpointRefused("t0", 2, 3, before, "torn"))
    assert reply.answer == Take(None)
    assert bench.trial().totals.iteration == 0


# Saving.


def test_a_checkpoint_saved_aside_counts_from_when_it_is_complete_as_of_its_own_report() -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    bench.answer(offers=True, loss=1.0)
    saved = ref(bench.trial())
    (reply,) = bench.happen(SaveBegun("t0", 1, 9))
    assert reply.answer == GoOn(0)
    bench.answer(offers=True, loss=2.0)
    bench.answer(loss=3.0)
    assert bench.trial().checkpoints == []
    assert bench.happen(Saved("t0", 1, 0, saved)) == []
    assert bench.trial().checkpoints == [saved]
    bench.fail()
    assert bench.start().checkpoint == saved
    assert bench.trial().totals.iteration == 1
    assert bench.trial().points[saved.path].score == -1.0


def test_what_was_being_saved_when_a_trial_died_is_not_gone_on_from() -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    bench.answer(offers=True)
    bench.happen(SaveBegun("t0", 1, 9))
    bench.fail()
    assert bench.start().checkpoint is None
    assert isinstance(bench.answer(offers=True), SaveNow)


def test_a_trial_that_leaves_may_take_its_time_to_finish_a_save() -> None:
    bench = Bench(make_plan(grace_s=5.0), scheduler=Script(t0_1=Pause()))
    bench.start()
    first = bench.report(offers=True)
    assert only(Reply, first).answer == SaveNow()
    (reply,) = bench.happen(SaveBegun("t0", 1, 9))
    assert isinstance(reply.answer, Leave)
    assert bench.experiment.next_deadline is None
    bench.now = 100.0
    bench.happen(Saved("t0", 1, 0, ref(bench.trial())))
    assert bench.experiment.next_deadline == 105.0
    bench.end(by_order=True)
    assert bench.state() == "PAUSED"
    assert bench.start().checkpoint.iteration == 1


def test_a_trial_goes_on_when_there_is_no_room_for_its_checkpoint() -> None:
    bench = Bench()
    bench.start()
    bench.answer(offers=True)
    (reply,) = bench.happen(SaveFailed("t0", 1, 2, "no room"))
    assert reply.answer == GoOn(0)
    assert bench.trial().checkpoints == []
    assert isinstance(bench.answer(offers=True), SaveNow)


def test_a_trial_that_catches_what_its_save_raised_may_be_silent_no_longer_than_any() -> None:
    bench = Bench(make_plan(report_timeout_s=10.0))
    bench.start()
    bench.happen(Begun("t0", 1))
    bench.answer(offers=True)
    assert bench.experiment.next_deadline is None
    bench.happen(SaveFailed("t0", 1, 0, "not yours"))
    assert bench.experiment.next_deadline == 10.0


def test_a_save_aside_that_failed_leaves_the_one_asked_for_meanwhile_its_time() -> None:
    bench = Bench(make_plan(report_timeout_s=10.0))
    bench.start()
    bench.happen(Begun("t0", 1))
    bench.answer(offers=True)
    bench.happen(SaveBegun("t0", 1, 9))
    bench.answer(offers=True)
    bench.happen(SaveFailed("t0", 1, 0, "no room"))
    assert bench.experiment.next_deadline is None
    bench.save()
    assert bench.experiment.next_deadline == 10.0


def test_a_trial_is_not_silent_while_it_saves_the_checkpoint_that_it_reports_next() -> None:
    bench = Bench(make_plan(report_timeout_s=10.0))
    bench.start()
    bench.happen(Begun("t0", 1))
    bench.happen(SaveBegun("t0", 1, 0))
    assert bench.experiment.next_deadline is None
    bench.answer(checkpoint=CheckpointRef("checkpoints/t0/1-1", 1))
    assert bench.experiment.next_deadline == 10.0


def test_bringing_checkpoints_gives_a_trial_that_was_told_to_leave_no_more_time() -> None:
    bench = Bench(make_plan(grace_s=5.0), scheduler=Script(t0_1=Stop()))
    bench.start()
    bench.answer()
    bench.now = 4.0
    bench.happen(SaveBegun("t0", 1, 0))
    assert bench.experiment.next_deadline == 5.0


def test_with_none_to_keep_a_trial_has_its_latest_until_it_is_over() -> None:
    bench = Bench(make_plan(retention=Retention(num_to_keep=0), max_failures=1))
    bench.start()
    for _ in range(2):
        bench.answer(offers=True)
        bench.save()
    (latest,) = bench.trial().checkpoints
    bench.fail()
    assert bench.start().checkpoint == latest
    assert only(DeleteCheckpoint, bench.end()).checkpoint == latest
    assert bench.experiment.kept_checkpoints == []


def test_beyond_the_budget_of_bytes_the_worst_go_but_never_what_a_trial_goes_on_from() -> None:
    bench = Bench(make_plan(retention=Retention(num_to_keep=None, max_total_bytes=30)))
    gone: list[CheckpointRef] = []

    def save(name: str, loss: float) -> None:
        trial = bench.trial(name)
        iteration = trial.totals.iteration + 1
        saved = CheckpointRef(f"{name}/{iteration}", iteration, 10)
        commands = bench.report(name, checkpoint=saved, loss=loss)
        gone.extend(one.checkpoint for one in commands if isinstance(one, DeleteCheckpoint))

    for name in ("t0", "t1"):
        bench.start(name)
        save(name, loss=5.0 if name == "t0" else 1.0)
        save(name, loss=3.0)
    assert [one.path for one in gone] == ["t0/1"]
    bench.start("t2")
    save("t2", loss=9.0)
    bench.start("t3")
    save("t3", loss=9.0)
    assert [one.path for one in gone] == ["t0/1", "t1/1"]
    assert len(bench.experiment.kept_checkpoints) == 4  # each is what its trial goes on from
    assert only(DeleteCheckpoint, bench.end("t2")).checkpoint.path == "t2/1"


@pytest.mark.parametrize(("frequency", "expected"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (4, [4])])
def test_a_checkpoint_is_asked_for_at_every_so_manieth_report(frequency: int, expected: list[int]) -> None:
    bench = Bench(make_plan(retention=Retention(frequency=frequency)))
    bench.start()
    asked = []
    for iteration in range(1, 7):
        if bench.answer(offers=True) == SaveNow():
            asked.append(iteration)
            assert only(Reply, bench.save()).answer == GoOn()
    assert asked == expected


def test_what_offers_no_checkpoint_is_never_asked_for_one() -> None:
    bench = Bench(scheduler=Script(t0_1=Save(), t0_2=Pause()))
    bench.start()
    assert bench.answer() == GoOn()
    assert bench.answer() == Leave()


def test_a_scheduler_may_ask_for_a_save() -> None:
    bench = Bench(make_plan(retention=Retention(frequency=0)), scheduler=Script(t0_2=Save()))
    bench.start()
    assert bench.answer(offers=True) == GoOn()
    assert bench.answer(offers=True) == SaveNow()
    assert only(Reply, bench.save()).answer == GoOn()


@pytest.mark.parametrize(("at_end", "answer"), [(True, SaveNow()), (False, Leave("bad"))])
def test_a_stopped_trial_saves_if_it_is_to_at_its_end(at_end: bool, answer: Any) -> None:
    plan = make_plan(retention=Retention(frequency=0, at_end=at_end))
    bench = Bench(plan, scheduler=Script(t0_1=Stop("bad")))
    bench.start()
    assert bench.answer(offers=True) == answer


def test_a_trial_told_to_end_while_it_saves_leaves_after() -> None:
    bench = Bench()
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    bench.happen(Closing("interrupted", keep=True))
    assert only(Reply, bench.save()).answer == Leave("interrupted")
    bench.end(by_order=True)
    assert bench.state() == "PENDING"


def test_a_report_that_brings_its_checkpoint_is_kept_with_it() -> None:
    bench = Bench()
    bench.start()
    bench.report(checkpoint=CheckpointRef("checkpoints/t0/1-1", 1))
    assert bench.trial().checkpoint.iteration == 1


def test_of_a_trials_checkpoints_the_latest_and_the_best_are_kept() -> None:
    bench = Bench()
    bench.start()
    deleted = []
    for value in (3.0, 1.0, 2.0, 4.0):
        bench.report(loss=value, offers=True)
        deleted += [one.checkpoint.iteration for one in bench.save() if isinstance(one, DeleteCheckpoint)]
    assert [one.iteration for one in bench.trial().checkpoints] == [2, 4]
    assert deleted == [1, 3]


# Pausing, and being chosen again.


class Promoting(Script):
    """Pauses every trial at its first result, and promotes whom it is told to."""

    promoted: str | None = None

    def on_trial_result(self, trial, result) -> Decision:
        return Pause("waits") if result["training_iteration"] == 1 else Continue()

    def choose_trial_to_run(self, trials):
        return self.promoted if self.promoted in trials.paused else next(iter(trials.waiting), None)


def test_a_paused_trial_that_is_chosen_goes_on_from_its_checkpoint() -> None:
    scheduler = Promoting()
    bench = Bench(scheduler=scheduler, samples=2)
    for trial_id in ("t0", "t1"):
        bench.start(trial_id)
        assert bench.answer(trial_id, offers=True) == SaveNow()
        bench.save(trial_id)
        bench.end(trial_id, by_order=True)
    assert bench.experiment.wanted() is None
    scheduler.promoted = "t1"
    assert bench.experiment.wanted().trial_id == "t1"
    assert bench.start("t1").checkpoint.iteration == 1
    assert bench.state("t1") == "RUNNING"
    assert bench.answer("t1", offers=True) == SaveNow()
    assert only(Reply, bench.save("t1")).answer == GoOn()
    assert bench.trial("t1").last_result["training_iteration"] == 2


def test_paused_trials_that_nobody_chooses_are_dismissed_at_the_end() -> None:
    bench = Bench(scheduler=Promoting(), samples=1)
    bench.start()
    bench.report()
    bench.end(by_order=True)
    assert bench.experiment.idle
    assert list(bench.experiment.ending()) == [Dismissed("t0"), Finished()]
    bench.happen(Dismissed("t0"))
    assert bench.state() == "TERMINATED"
    assert bench.searcher.completed == [("t0", 1.0, False)]


def test_who_is_ended_by_the_end_of_another_is_not_dismissed_as_well() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause(), t1_1=Pause(), t0_end={"t1": Stop("its bracket is over")}), samples=2)
    for name in ("t0", "t1"):
        bench.start(name)
        bench.report(name)
        bench.end(name, by_order=True)
    ended = []
    for event in bench.experiment.ending():
        bench.happen(event)
        ended.append(event)
    assert ended == [Dismissed("t0"), Finished()]
    assert [bench.state(name) for name in ("t0", "t1")] == ["TERMINATED", "TERMINATED"]


def test_ctrl_c_keeps_waiting_and_paused_trials() -> None:
    bench = Bench(scheduler=Promoting())
    bench.start("t0")
    bench.report("t0")
    bench.end("t0", by_order=True)
    bench.start("t1")
    bench.happen(Suggested("t2", {}))
    assert bench.happen(Closing("interrupted", keep=True)) == [Nudge("t1", 1)]
    bench.end("t1", by_order=True)
    assert bench.experiment.idle
    assert list(bench.experiment.ending()) == [Finished()]
    bench.happen(Finished())
    assert [bench.state(name) for name in ("t0", "t1", "t2")] == ["PAUSED", "PENDING", "PENDING"]
    assert bench.searcher.completed == []
    bench.happen(Opened("again"))
    assert bench.experiment.wanted().trial_id == "t1"


def test_a_failed_search_keeps_paused_trials_for_the_resume() -> None:
    bench = Bench(scheduler=Promoting())
    bench.start()
    bench.report()
    bench.end(by_order=True)
    bench.happen(SearchEnded("ValueError: no"))
    bench.happen(Finished())
    assert bench.state() == "PAUSED"
    bench.happen(Opened("again"))
    assert bench.experiment.wanted().trial_id is None


def test_who_ran_when_the_controller_died_goes_on_before_all_others() -> None:
    scheduler = Promoting()
    bench = Bench(make_plan(max_failures=1), scheduler=scheduler)
    bench.start("t0")
    bench.report("t0")
    bench.end("t0", by_order=True)
    scheduler.promoted = "t0"
    bench.happen(Suggested("t1", {}))
    for name in ("t2", "t3"):
        bench.start(name)
    bench.happen(Opened("again"))
    assert bench.events(Interrupted) == [Interrupted("t2", again=True), Interrupted("t3", again=True)]
    order = []
    for _ in range(4):
        order.append(bench.experiment.wanted().trial_id)
        bench.start(order[-1])
    assert order == ["t2", "t3", "t0", "t1"]


# What should start.


def test_no_more_run_than_the_limit() -> None:
    bench = Bench(make_plan(max_concurrent=2))
    bench.start("t0")
    assert bench.experiment.wanted() is not None
    bench.start("t1")
    assert bench.experiment.wanted() is None
    assert not bench.experiment.idle


def test_there_are_as_many_trials_as_the_searcher_says() -> None:
    bench = Bench(samples=1)
    assert bench.experiment.wanted().trial_id is None
    bench.start()
    bench.end()
    assert bench.experiment.idle


class Shy(TrialScheduler):
    """Leaves every room to a new trial."""

    def choose_trial_to_run(self, trials):
        return None


def test_a_scheduler_that_chooses_nobody_starves_nobody() -> None:
    bench = Bench(make_plan(max_failures=1), scheduler=Shy(), samples=1)
    bench.start()
    bench.fail()
    assert bench.experiment.wanted().trial_id == "t0"


def test_where_the_configuration_says_what_it_needs_a_trial_is_placed_before_the_next_is_suggested() -> None:
    plan = make_plan(request=lambda config: Request((Resources.of(cpu=config["x"] + 1),)))
    bench = Bench(plan, scheduler=Shy())
    assert bench.experiment.wanted().request is None
    bench.happen(Suggested("t0", {"x": 2}))
    wanted = bench.experiment.wanted()
    assert wanted.trial_id == "t0"
    assert wanted.request.bundles[0]["cpu"] == 3


# Names, numbers, and policies that misbehave.


def test_a_metric_missing_from_the_first_report_closes_with_the_nearest_name() -> None:
    bench = Bench()
    bench.start()
    answer = bench.answer(los=1.0, accuracy=0.1)
    closing = bench.experiment.closing
    assert closing.keep
    assert "did you mean 'los'?" in closing.error
    assert "t0" in closing.error
    assert answer == Leave(closing.reason)
    bench.end(by_order=True)
    bench.happen(Finished())
    assert bench.state() == "PENDING"


def test_a_metric_missing_from_what_the_function_returns_is_noticed_as_well() -> None:
    bench = Bench()
    bench.start()
    bench.end(metrics={"los": 1.0}, seconds=1.0)
    assert "did you mean 'los'?" in bench.experiment.closing.error


def test_a_time_attr_missing_from_the_first_report_closes_as_well() -> None:
    bench = Bench()
    bench.experiment.policies.time_attr = "epoch"
    bench.start()
    bench.report(loss=1.0, epochs=1)
    assert "time_attr 'epoch'" in bench.experiment.closing.error
    assert "did you mean 'epochs'?" in bench.experiment.closing.error


def test_a_metric_that_is_still_missing_after_a_resume_closes_again() -> None:
    bench = Bench()
    bench.start()
    bench.report(los=1.0)
    bench.happen(Opened("again"))
    bench.start()
    bench.report(los=1.0)
    assert bench.experiment.closing.error


def test_a_metric_that_was_reported_once_may_be_missing_later() -> None:
    bench = Bench()
    bench.start("t0")
    bench.report("t0", loss=1.0)
    assert bench.answer("t0", other=1.0) == GoOn()
    bench.start("t1")
    assert bench.answer("t1", other=1.0) == GoOn()
    assert bench.experiment.closing is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400])
def test_what_is_no_finite_number_never_reaches_the_searcher_and_is_never_best(value: float) -> None:
    bench = Bench()
    bench.start()
    bench.report(loss=value)
    assert bench.searcher.results == []
    assert bench.experiment.best is None
    bench.report(loss=2.0)
    bench.report(loss=value)
    bench.end()
    assert bench.searcher.results == [("t0", 2.0)]
    assert bench.searcher.completed == [("t0", None, False)]
    assert bench.experiment.best_result["loss"] == 2.0


def test_a_nested_metric_is_named_by_its_path() -> None:
    plan = Plan(metrics=("eval/loss",), modes=("min",))
    experiment = Experiment(plan, bound({}, 1, metric="eval/loss"))
    experiment.handle(Suggested("t0", {}), 0.0, 0.0)
    experiment.handle(experiment.launch("t0"), 0.0, 0.0)
    experiment.handle(Reported("t0", 1, 1, {"eval": {"loss": 0.5}}, 1.0), 1.0, 1.0)
    assert experiment.best_merit == (0, -0.5)
    assert experiment.closing is None


def test_counters_that_are_no_numbers_are_overlooked() -> None:
    bench = Bench()
    bench.start()
    bench.report(loss=1.0, timesteps_this_iter="many")
    bench.report(loss=1.0, timesteps_this_iter=5, episodes_this_iter=2)
    bench.report(loss=1.0, timesteps_this_iter=5)
    assert bench.trial().last_result["timesteps_total"] == 10
    assert bench.trial().last_result["episodes_total"] == 2


def test_a_result_that_says_done_ends_its_trial() -> None:
    bench = Bench()
    bench.start()
    assert isinstance(bench.answer(loss=1.0, done=True), Leave)


def test_a_parameter_given_is_part_of_the_configuration_but_not_of_what_was_suggested() -> None:
    bench = Bench()
    suggested = {"x": 1}
    bench.happen(Suggested("t0", suggested))
    bench.start()
    (reply,) = bench.happen(ParameterGiven("t0", 1, 1, "y", None, 0.5))
    assert reply.answer == Take(0.5)
    assert bench.trial().config == {"x": 1, "y": 0.5}
    assert suggested == {"x": 1}


def test_what_an_attempt_does_to_its_configuration_is_its_own() -> None:
    bench = Bench()
    bench.start().config["x"] = "changed"
    assert bench.trial().config == {"x": 0}


class Raising(Script, Listening):
    """Raises whatever it is asked or told."""

    def __init__(self) -> None:
        pass

    def suggest(self, trial_id):
        return FINISHED

    def _raise(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a policy of the user's")

    on_trial_add = on_trial_start = on_trial_result = on_trial_complete = on_trial_error = _raise
    on_parameter = suggest_parameter = choose_trial_to_run = _raise


def test_policies_that_raise_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    from searchers.domain import Float

    def stop(trial_id, result):
        raise RuntimeError("a stopper of the user's")

    with caplog.at_level(logging.CRITICAL):
        bench = Bench(make_plan(max_failures=1), searcher=Raising(), scheduler=Raising(), stop=stop, samples=2)
        bench.start("t0")
        bench.happen(ParameterGiven("t0", 1, 1, "x", Float(0.0, 1.0), 0.5))
        assert bench.answer("t0") == GoOn()
        assert bench.experiment.wanted() is not None
        bench.fail("t0")
        bench.start("t0")
        bench.fail("t0")
        bench.start("t1")
        bench.end("t1")
    assert (bench.state("t0"), bench.state("t1")) == ("ERROR", "TERMINATED")


@pytest.mark.parametrize("answer", ["STOP", 1, [], object()])
def test_an_answer_that_is_no_decision_is_named_and_overlooked(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(scheduler=Script(t0_1=answer))
    bench.start()
    assert bench.answer() == GoOn()
    assert "is no decision" in caplog.text


@pytest.mark.parametrize("answer", ["t7", ["t0"], 3])
def test_a_choice_that_cannot_start_is_named_and_overlooked(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(make_plan(max_failures=1))
    bench.start()
    bench.fail()
    bench.scheduler.choose_trial_to_run = lambda trials: answer
    assert bench.experiment.wanted().trial_id is None
    assert "cannot start now" in caplog.text
