"""What each decision does, whatever its trial, its donor and its others do at that moment."""

from __future__ import annotations

import logging

import pytest

from executor.resources import Request, Resources
from schedulers.base import Decision, Decisions, Exploit, Pause, Resize, Save, Stop
from tests.tune.arena import bound
from tests.tune.bench import DIED, KILLED, RAISED, Bench, Listening, Script, make_plan, only
from tune.machine.events import (
    Begun,
    CheckpointRef,
    CheckpointRefused,
    Closing,
    Decided,
    DeleteCheckpoint,
    Evicted,
    ExploitDropped,
    Exploited,
    Failure,
    GoOn,
    Interrupted,
    Leave,
    Nudge,
    Opened,
    Reply,
    ResizeDropped,
    SaveBegun,
    Saved,
    SaveFailed,
    SaveNow,
    Start,
    Suggested,
    Take,
)
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan, Retention
from tune.machine.trial import Trial

# What a scheduler decides about trials other than the one that reported.


def deciding(*about: tuple[str, Decision], **more: Decision) -> Bench:
    """Trials t0, t1 and t2, each launched; t2's first report brings decisions about those named."""
    bench = Bench(make_plan(retention=Retention(frequency=0)), scheduler=Script(t2_1=dict(about), **more))
    for trial_id in ("t0", "t1", "t2"):
        bench.start(trial_id)
    return bench


def pause(bench: Bench, trial_id: str) -> None:
    bench.report(trial_id, offers=True)
    bench.save(trial_id)
    bench.end(trial_id, by_order=True)
    assert bench.state(trial_id) == "PAUSED"


def test_paused_trials_are_stopped_by_anothers_report_and_the_reporter_goes_on() -> None:
    bench = deciding(
        ("t0", Stop("2nd of 2")), ("t1", Stop("ran its course", complete=True)), t0_1=Pause(), t1_1=Pause()
    )
    pause(bench, "t0")
    pause(bench, "t1")
    assert bench.answer("t2") == GoOn()
    assert (bench.state("t0"), bench.state("t1")) == ("TERMINATED", "TERMINATED")
    assert (bench.trial("t0").reason, bench.trial("t0").cut_short) == ("2nd of 2", True)
    assert not bench.trial("t1").cut_short
    assert bench.scheduler.ended == ["t0", "t1"]
    assert bench.events(Decided)[0] == Decided("t0", Stop("2nd of 2"), "t2")


def test_the_reporter_finds_its_own_decision_among_the_others() -> None:
    bench = deciding(("t2", Pause("waits")), ("t0", Stop("bad")))
    assert bench.answer("t2") == Leave("waits")
    assert bench.events(Decided) == [Decided("t0", Stop("bad"), "t2")]


def test_a_running_trial_goes_by_what_was_decided_at_its_next_report() -> None:
    bench = deciding(("t0", Stop("bad")), ("t1", Pause("waits")))
    assert [one.trial_id for one in bench.report("t2") if isinstance(one, Nudge)] == ["t0", "t1"]
    assert bench.answer("t0", offers=True) == Leave("bad")
    assert bench.answer("t1", offers=True) == SaveNow()
    assert only(Reply, bench.save("t1")).answer == Leave("waits")
    bench.end("t0", by_order=True)
    bench.end("t1", by_order=True)
    assert (bench.state("t0"), bench.state("t1")) == ("TERMINATED", "PAUSED")


def test_a_trial_that_is_told_to_end_before_its_code_runs_leaves_at_once_and_not_at_a_report_it_never_makes() -> None:
    bench = deciding(("t0", Stop("bad")))
    assert not bench.happen(Begun("t1", 1))
    bench.report("t2")
    assert only(Reply, bench.happen(Begun("t0", 1, 1))).answer == Leave("bad")


def test_a_running_trial_that_shall_save_does_so_at_its_next_report_that_offers() -> None:
    bench = deciding(("t0", Save()))
    assert not [one for one in bench.report("t2") if isinstance(one, Nudge)]
    assert bench.answer("t0") == GoOn()
    assert bench.answer("t0", offers=True) == SaveNow()
    bench.save("t0")
    assert bench.answer("t0", offers=True) == GoOn()


def test_a_trial_that_is_just_saving_leaves_when_it_has_saved() -> None:
    bench = deciding(("t0", Stop("bad")), t0_1=Save())
    bench.report("t0", offers=True)
    bench.report("t2")
    assert only(Reply, bench.save("t0")).answer == Leave("bad")


def test_what_is_decided_about_a_trial_that_is_over_or_unknown_is_dropped(caplog) -> None:
    bench = deciding(("t0", Pause()), ("t9", Stop("bad")), ("t1", "stop"))
    bench.end("t0")
    assert bench.answer("t2") == GoOn()
    assert not bench.events(Decided)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "t9" in caplog.text


def test_pause_of_a_trial_that_waits_or_is_paused_changes_nothing() -> None:
    bench = deciding(("t0", Pause()), ("t3", Pause()), t0_1=Pause())
    bench.happen(Suggested("t3", {"x": 0}))
    pause(bench, "t0")
    bench.report("t2")
    assert (bench.state("t0"), bench.state("t3")) == ("PAUSED", "PENDING")


@pytest.mark.parametrize("ends", ["end", "fail"])
def test_the_end_of_a_trial_decides_about_those_that_waited_for_it(ends: str) -> None:
    bench = Bench(scheduler=Script(t0_1=Pause(), t1_end={"t0": Stop("2nd of 2")}))
    bench.start("t0")
    bench.start("t1")
    pause(bench, "t0")
    getattr(bench, ends)("t1")
    assert bench.state("t0") == "TERMINATED"
    assert bench.scheduler.ended == ["t1", "t0"]


def test_decisions_about_others_are_facts_when_read_back() -> None:
    bench = deciding(("t0", Stop("bad")), ("t1", Save()))
    bench.report("t2")
    resumed = Experiment(bench.plan, bound({}, 4, searcher=Listening(), scheduler=Script()))
    for entry in bench.experiment.take_entries():
        resumed.replay(entry)
    assert resumed.trials["t0"].state == "STOPPING"
    assert resumed.trials["t1"].saving.due


# Exploit: become a copy of another.

COPY = Exploit("t1", {"x": 9}, "last of 2, copies t1")


def two(plan: Plan | None = None, **decisions: Decision | Decisions) -> Bench:
    """Trials t0 and t1 running; t0 is the one to become a copy."""
    bench = Bench(plan or make_plan(retention=Retention(frequency=0)), scheduler=Script(**decisions))
    bench.start("t0")
    bench.start("t1")
    return bench


def saved(bench: Bench, trial_id: str, times: int = 1) -> CheckpointRef:
    """Let a trial report and save."""
    for _ in range(times):
        bench.report(trial_id, checkpoint=after(bench.trial(trial_id)))
    checkpoint = bench.trial(trial_id).checkpoint
    assert checkpoint is not None
    return checkpoint


def after(trial: Trial) -> CheckpointRef:
    iteration = trial.totals.iteration + 1
    return CheckpointRef(f"checkpoints/{trial.trial_id}/{iteration}-{trial.attempt}", iteration)


def relaunched(bench: Bench, trial_id: str = "t0") -> Start:
    wanted = bench.experiment.wanted()
    assert wanted is not None
    assert wanted.trial_id == trial_id
    return bench.start(trial_id)


def test_a_trial_leaves_unsaved_and_goes_on_at_once_from_the_donors_checkpoint() -> None:
    bench = two(t0_1=COPY)
    donors = saved(bench, "t1", times=3)
    assert bench.answer("t0", offers=True) == Leave("last of 2, copies t1")
    bench.end("t0", by_order=True)
    assert bench.events(Exploited) == [Exploited("t0", "t1", donors, {"x": 9}, 3.0)]
    bench.happen(Suggested("t2", {"x": 2}))
    start = relaunched(bench)
    assert (start.checkpoint, start.config, start.attempt) == (donors, {"x": 9}, 2)
    bench.report("t0")
    assert bench.trial("t0").last_result["training_iteration"] == 4
    assert bench.trial("t0").last_result["time_total_s"] == 4.0
    assert bench.scheduler.told[-1] == ("t0", 4)


def test_a_copy_of_a_trial_that_is_behind_is_told_of_from_there() -> None:
    bench = two(t0_3=COPY)
    saved(bench, "t1")
    for _ in range(3):
        bench.report("t0")
    bench.end("t0", by_order=True)
    relaunched(bench)
    bench.report("t0")
    assert [iteration for name, iteration in bench.scheduler.told if name == "t0"] == [1, 2, 3, 2]


def test_a_donor_without_a_checkpoint_is_told_to_save_and_the_trial_goes_on_meanwhile() -> None:
    bench = two(t0_1=COPY)
    assert bench.answer("t0", offers=True) == GoOn()
    assert bench.answer("t1") == GoOn()
    assert bench.answer("t0", offers=True) == GoOn()
    assert bench.answer("t1", offers=True) == SaveNow()
    assert only(Nudge, bench.save("t1")).trial_id == "t0"
    assert bench.answer("t0", offers=True) == Leave("last of 2, copies t1")
    bench.end("t0", by_order=True)
    assert relaunched(bench).checkpoint == bench.trial("t1").checkpoint
    assert bench.answer("t1", offers=True) == GoOn()


@pytest.mark.parametrize("ends", ["end", "fail", "pause"])
def test_an_exploit_is_dropped_with_a_reason_when_the_donor_goes_without_having_saved(ends: str) -> None:
    bench = two(t0_1=COPY, t1_1=Pause())
    bench.report("t0")
    if ends == "pause":
        bench.report("t1")
        bench.end("t1", by_order=True)
    else:
        getattr(bench, ends)("t1")
    (dropped,) = bench.events(ExploitDropped)
    assert "t1 is" in dropped.why
    assert "no checkpoint" in dropped.why
    assert bench.answer("t0") == GoOn()
    assert bench.trial("t0").config == {"x": 0}


def test_a_donor_that_is_over_still_gives_its_checkpoint() -> None:
    bench = two(t0_1=COPY)
    donors = saved(bench, "t1")
    bench.end("t1")
    bench.report("t0")
    bench.end("t0", by_order=True)
    assert relaunched(bench).checkpoint == donors


@pytest.mark.parametrize("failure", [DIED, RAISED, KILLED])
def test_a_trial_that_dies_on_its_way_out_becomes_the_copy_all_the_same(failure: Failure) -> None:
    bench = two(t0_1=COPY)
    donors = saved(bench, "t1")
    bench.report("t0")
    bench.fail("t0", failure)
    assert relaunched(bench).checkpoint == donors
    assert bench.trial("t0").failures == 0


def test_a_trial_that_fails_while_its_donor_is_asked_waits_and_starts_as_the_copy() -> None:
    bench = two(make_plan(max_failures=1, retention=Retention(frequency=0)), t0_1=COPY)
    bench.report("t0")
    bench.fail("t0")
    assert "t0" not in bench.experiment.waiting
    saved(bench, "t1")
    assert relaunched(bench).config == {"x": 9}


def test_a_paused_trial_is_not_started_in_vain_while_its_donor_is_asked() -> None:
    bench = two(t0_1=Pause(), t1_1={"t0": COPY})
    pause(bench, "t0")
    bench.report("t1", offers=True)
    assert not bench.experiment.paused
    bench.save("t1")
    assert relaunched(bench).checkpoint == bench.trial("t1").checkpoint


def test_a_paused_trial_goes_on_as_it_was_when_its_donor_goes_without_having_saved() -> None:
    bench = two(t0_1=Pause(), t1_1={"t0": COPY})
    pause(bench, "t0")
    bench.report("t1")
    assert not bench.experiment.paused
    bench.end("t1")
    assert relaunched(bench).config == {"x": 0}


def test_a_trial_that_waits_becomes_the_copy_where_it_waits() -> None:
    bench = two(t0_1=Pause(), t1_2={"t0": COPY})
    bench.report("t0")
    bench.end("t0", by_order=True)
    donors = saved(bench, "t1", times=2)
    assert bench.state("t0") == "PAUSED"
    assert bench.experiment.launch("t0").checkpoint == donors
    assert bench.trial("t0").config == {"x": 9}


def test_with_pause_the_copy_waits_to_be_chosen() -> None:
    bench = two(t0_1=Exploit("t1", {"x": 9}, pause=True))
    donors = saved(bench, "t1")
    assert bench.answer("t0", offers=True) == Leave()
    bench.end("t0", by_order=True)
    assert bench.state("t0") == "PAUSED"
    assert bench.experiment.launch("t0").checkpoint == donors


def test_a_save_in_flight_is_finished_before_the_trial_leaves() -> None:
    bench = two(t0_1=Save(), t1_2={"t0": COPY})
    saved(bench, "t1")
    assert bench.answer("t0", offers=True) == SaveNow()
    donors = saved(bench, "t1")
    assert only(Reply, bench.save("t0")).answer == Leave("last of 2, copies t1")
    bench.end("t0", by_order=True)
    assert relaunched(bench).checkpoint == donors


def test_a_trial_told_to_stop_stays_so() -> None:
    bench = two(t0_1=Stop("bad"), t1_1={"t0": COPY})
    bench.report("t0")
    saved(bench, "t1")
    bench.end("t0", by_order=True)
    assert bench.state("t0") == "TERMINATED"
    assert not bench.events(Exploited)


def test_a_suspended_trial_becomes_the_copy_after_the_resume() -> None:
    bench = two(t0_1=COPY)
    donors = saved(bench, "t1")
    bench.happen(Closing("interrupted", keep=True))
    assert bench.answer("t0", offers=True) == Leave("interrupted")
    bench.end("t0", by_order=True)
    bench.end("t1", by_order=True)
    bench.happen(Opened("again"))
    assert relaunched(bench).checkpoint == donors


def test_a_trial_that_is_its_own_donor_saves_and_goes_on_with_the_configuration() -> None:
    bench = two(t0_2=Exploit("t0", {"x": 5}, "as recorded"))
    saved(bench, "t0")
    assert bench.answer("t0", offers=True) == SaveNow()
    assert only(Reply, bench.save("t0")).answer == Leave("as recorded")
    bench.end("t0", by_order=True)
    start = relaunched(bench)
    assert (start.checkpoint.iteration, start.config) == (2, {"x": 5})


def test_a_trial_that_goes_on_from_its_own_checkpoint_keeps_the_one_before_it_too() -> None:
    bench = two(t0_2=Exploit("t0", {"x": 5}, "as recorded"))
    earlier, latest = saved(bench, "t0"), saved(bench, "t0")
    bench.end("t0", by_order=True)
    assert bench.trial("t0").checkpoints == [earlier, latest]
    relaunched(bench)
    bench.happen(CheckpointRefused("t0", 2, 1, latest, "torn"))
    assert bench.trial("t0").checkpoint == earlier


@pytest.mark.parametrize("ends", ["interrupted", "failed"])
def test_one_that_dies_before_it_has_saved_for_itself_comes_as_far_again_and_saves_there(ends: str) -> None:
    plan = make_plan(max_failures=1, retention=Retention(frequency=0))
    bench = two(plan, t0_1=Save(), t0_3=Exploit("t0", {"x": 5}, "as recorded"))
    saved(bench, "t0")
    bench.report("t0", offers=True)
    assert bench.answer("t0", offers=True) == SaveNow()
    if ends == "failed":
        bench.fail("t0")
    else:
        bench.happen(Opened("again"))
    start = relaunched(bench)
    assert (start.checkpoint.iteration, start.config) == (1, {"x": 0})
    assert bench.answer("t0", offers=True) == GoOn()
    assert bench.answer("t0", offers=True) == SaveNow()
    assert only(Reply, bench.save("t0")).answer == Leave("as recorded")
    bench.end("t0", by_order=True)
    start = bench.start("t0")
    assert (start.checkpoint.iteration, start.config) == (3, {"x": 5})


def test_a_donor_whose_save_aside_failed_saves_at_its_next_report_for_the_one_that_waits() -> None:
    bench = two(t0_1=COPY)
    bench.answer("t0", offers=True)
    assert bench.answer("t1", offers=True) == SaveNow()
    bench.happen(SaveBegun("t1", 1, 9))
    bench.happen(SaveFailed("t1", 1, 0, "not yours"))
    assert bench.answer("t1", offers=True) == SaveNow()
    bench.save("t1")
    assert bench.answer("t0") == Leave("last of 2, copies t1")


def test_a_checkpoint_that_is_to_be_copied_outlives_its_donors_interest_in_it() -> None:
    bench = two(make_plan(retention=Retention(num_to_keep=1)), t0_1=COPY)
    donors = saved(bench, "t1")
    bench.report("t0", offers=True)
    commands = bench.report("t1", checkpoint=after(bench.trial("t1")))
    assert not [one for one in commands if isinstance(one, DeleteCheckpoint)]
    assert donors in bench.experiment.kept_checkpoints
    bench.end("t0", by_order=True)
    relaunched(bench)
    assert only(DeleteCheckpoint, bench.report("t0", checkpoint=after(bench.trial("t0")))).checkpoint == donors
    assert donors not in bench.experiment.kept_checkpoints


def test_a_trial_that_ends_by_itself_lets_go_of_what_it_held_for_a_copy() -> None:
    bench = two(make_plan(retention=Retention(num_to_keep=1)), t0_1=COPY)
    donors = saved(bench, "t1")
    bench.report("t0", offers=True)
    bench.report("t1", checkpoint=after(bench.trial("t1")))
    assert only(DeleteCheckpoint, bench.end("t0")).checkpoint == donors


def test_a_damaged_checkpoint_of_a_donor_gives_way_to_the_trials_own() -> None:
    bench = two(make_plan(), t0_2=COPY)
    own = saved(bench, "t0")
    donors = saved(bench, "t1", times=3)
    bench.report("t0", offers=True)
    bench.end("t0", by_order=True)
    relaunched(bench)
    (reply,) = bench.happen(CheckpointRefused("t0", 2, 1, donors, "torn"))
    assert reply.answer == Take(own)
    assert bench.trial("t1").checkpoint == donors


def test_of_two_exploits_the_later_counts() -> None:
    bench = two(t0_1=COPY, t0_2=Exploit("t2", {"x": 7}))
    bench.start("t2")
    bench.report("t0")
    donors = saved(bench, "t2")
    bench.report("t0")
    bench.end("t0", by_order=True)
    saved(bench, "t1")
    assert relaunched(bench).checkpoint == donors
    assert bench.trial("t0").config == {"x": 7}


def test_a_copy_of_a_trial_that_does_not_exist_is_refused(caplog) -> None:
    bench = two(t0_1=Exploit("t9", {"x": 1}))
    assert bench.answer("t0") == GoOn()
    assert "t9" in caplog.text


# Resize: go on with other resources.

WIDER = Resize({"cpu": 2}, "the best of 2")


def test_a_trial_saves_leaves_and_asks_for_the_other_resources() -> None:
    bench = two(t0_1=WIDER)
    assert bench.answer("t0", offers=True) == SaveNow()
    assert only(Reply, bench.save("t0")).answer == Leave("the best of 2")
    bench.end("t0", by_order=True)
    wanted = bench.experiment.wanted()
    assert (wanted.trial_id, wanted.request.total["cpu"], wanted.grows) == ("t0", 2, True)
    assert bench.start("t0").checkpoint.iteration == 1
    assert bench.trial("t0").resources == {"cpu": 2}


def test_a_trial_that_cannot_save_for_other_resources_fails_as_often_as_it_may() -> None:
    """It would be told to save again each time, and fail again, for ever."""
    bench = two(make_plan(max_failures=1), t0_1=WIDER, t0_2=WIDER)
    assert bench.answer("t0", offers=True) == SaveNow()
    bench.fail("t0")
    assert bench.state("t0") == "PENDING"
    bench.start("t0")
    bench.report("t0", offers=True)
    assert bench.answer("t0", offers=True) == SaveNow()
    bench.fail("t0")
    assert bench.state("t0") == "ERROR"


@pytest.mark.parametrize("told", [None, Pause()])
def test_a_trial_that_cannot_save_for_an_interrupt_goes_on_after_the_resume_and_nobody_pays(told) -> None:
    bench = two(**({"t0_1": told} if told else {}))
    if told:
        bench.report("t0", offers=True)
    bench.happen(Closing("interrupted", keep=True))
    if not told:
        assert bench.answer("t0", offers=True) == SaveNow()
    bench.fail("t0")
    assert bench.state("t0") == ("PAUSED" if told else "PENDING")
    assert bench.trial("t0").failures == 0


def test_a_journal_in_which_a_last_failure_on_the_way_to_other_resources_did_not_end_the_trial_is_followed() -> None:
    bench = two(t0_1=WIDER)
    bench.answer("t0", offers=True)
    bench.fail("t0")
    assert bench.state("t0") == "ERROR"
    *before, failed = bench.experiment.take_entries()
    resumed = Experiment(bench.plan, bound({}, 4, searcher=Listening(), scheduler=Script()))
    for entry in [*before, failed._replace(state="PENDING")]:
        resumed.replay(entry)
    assert resumed.trials["t0"].state == "PENDING"
    assert resumed.wanted().trial_id == "t0"


def test_resources_that_cannot_be_had_are_given_up_for_those_that_it_had() -> None:
    bench = two(t0_1=WIDER)
    saved(bench, "t0")
    bench.end("t0", by_order=True)
    bench.happen(ResizeDropped("t0", "cpu 2 cannot be had"))
    wanted = bench.experiment.wanted()
    assert (wanted.trial_id, wanted.request.total["cpu"], wanted.grows) == ("t0", 1, False)


def test_who_asks_for_other_resources_comes_after_those_who_take_their_own_room_again() -> None:
    bench = two(t0_1=WIDER, t1_2=Exploit("t1", {"x": 1}))
    saved(bench, "t0")
    saved(bench, "t1", times=2)
    bench.end("t0", by_order=True)
    bench.end("t1", by_order=True)
    assert bench.experiment.wanted().trial_id == "t1"


@pytest.mark.parametrize(
    ("plan", "offers", "words"),
    [
        (make_plan(), False, "with a checkpoint"),
        (make_plan(request=lambda config: Request()), True, "one bundle"),
        (make_plan(request=Request((Resources.of(cpu=1),) * 2, gang=True)), True, "one bundle"),
    ],
)
def test_a_trial_that_cannot_be_resized_goes_on_and_this_is_said_once(plan, offers, words, caplog) -> None:
    bench = two(plan, t0_1=WIDER, t1_1=WIDER)
    with caplog.at_level(logging.WARNING):
        for trial_id in ("t0", "t1"):
            assert bench.answer(trial_id, offers=offers) == (SaveNow() if offers else GoOn())
    assert len(caplog.records) == 1
    assert words in caplog.text
    assert bench.state("t0") == "RUNNING"


def test_a_resize_to_what_a_trial_has_changes_nothing() -> None:
    bench = two(t0_1=Resize({"cpu": 1}))
    assert bench.answer("t0", offers=True) == GoOn()


def test_copies_and_resources_are_facts_when_read_back() -> None:
    bench = two(t0_1=COPY, t1_2=WIDER)
    saved(bench, "t1")
    bench.report("t0")
    bench.end("t0", by_order=True)
    relaunched(bench)
    saved(bench, "t1")
    resumed = Experiment(bench.plan, bound({}, 4, searcher=Listening(), scheduler=Script()))
    for entry in bench.experiment.take_entries():
        resumed.replay(entry)
    assert resumed.trials["t0"].config == {"x": 9}
    assert resumed.trials["t1"].wished == bench.trial("t1").wished is not None


# A node that is emptied.

EMPTIED = "node gpu1 is drained"


def test_a_trial_whose_node_is_drained_saves_at_its_next_report_and_goes_on_elsewhere_first() -> None:
    bench = Bench()
    bench.start()
    bench.report()
    (nudge,) = bench.happen(Evicted("t0", 1, EMPTIED))
    assert isinstance(nudge, Nudge)
    assert isinstance(bench.answer(offers=True), SaveNow)
    assert only(Reply, bench.save()).answer == Leave(EMPTIED)
    bench.end(by_order=True)
    assert bench.experiment.wanted().trial_id == "t0"
    assert (bench.start().checkpoint.iteration, bench.trial().failures, bench.trial().infra_failures) == (2, 0, 0)


def test_nobody_is_charged_for_a_trial_that_is_ended_with_its_drained_node() -> None:
    bench = Bench()
    bench.start()
    bench.happen(Evicted("t0", 1, EMPTIED))
    bench.fail(failure=Failure("died", "node gpu1 was lost: its deadline has passed"))
    assert (bench.state(), bench.trial().failures, bench.trial().infra_failures) == ("PENDING", 0, 0)


def test_a_trial_told_to_stop_stops_though_its_node_is_drained() -> None:
    bench = two(t0_1=Stop("enough"))
    bench.report()
    bench.happen(Evicted("t0", 1, EMPTIED))
    bench.end(by_order=True)
    assert bench.state() == "TERMINATED"


def test_its_own_donor_that_died_comes_as_far_again_although_it_saves_on_the_way() -> None:
    bench = two(make_plan(max_failures=1, retention=Retention(frequency=2)), t0_3=Exploit("t0", {"x": 7}, "mutates"))
    bench.report("t0")
    bench.report("t0")
    assert bench.answer("t0", offers=True) == SaveNow()
    bench.fail("t0")
    bench.start("t0")
    bench.report("t0")
    assert bench.answer("t0", offers=True) == SaveNow()
    assert only(Reply, bench.save("t0")).answer == GoOn()
    assert bench.answer("t0", offers=True) == SaveNow()
    assert only(Reply, bench.save("t0")).answer == Leave("mutates")


# A controller that dies while a trial saves.

LEAVES = [(Pause("waits"), "PAUSED"), (Stop("reached 1", complete=True), "TERMINATED")]


@pytest.mark.parametrize(("decision", "state"), LEAVES)
@pytest.mark.parametrize("aside", [False, True])
def test_what_was_to_be_saved_before_a_trial_left_is_saved_when_it_has_come_there_again(decision, state, aside) -> None:
    bench = Bench(make_plan(retention=Retention(frequency=0, at_end=True)), scheduler=Script(t0_2=decision))
    bench.start()
    bench.report(offers=True)
    assert bench.answer(offers=True) == SaveNow()
    if aside:
        bench.happen(SaveBegun("t0", 1, 9))
    bench.happen(Opened("again"))
    assert bench.experiment.wanted().trial_id == "t0"
    assert bench.start().free_until == 2
    assert bench.answer(offers=True) == GoOn(2)
    assert bench.answer(offers=True) == SaveNow()
    assert only(Reply, bench.save()).answer == Leave(decision.reason)
    bench.end(by_order=True)
    assert (bench.state(), bench.trial().checkpoint.iteration) == (state, 2)
    assert bench.scheduler.told == [("t0", 1), ("t0", 2)]


def test_a_scheduler_is_not_told_that_a_trial_goes_on_which_has_yet_to_come_to_its_pause() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause("waits")))
    bench.start()
    bench.report(offers=True)
    bench.happen(Opened("again"))
    bench.start()
    bench.report(offers=True)
    bench.save()
    bench.end(by_order=True)
    bench.start()
    assert bench.scheduler.started == ["t0", "t0"]


def test_a_trial_that_never_saves_is_paused_when_its_controller_died_as_it_left() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause("waits")))
    bench.start()
    bench.report()
    bench.happen(Opened("again"))
    assert bench.state() == "PAUSED"


def test_other_resources_are_had_with_the_checkpoint_that_was_to_go_with_them() -> None:
    bench = two(make_plan(retention=Retention(frequency=0)), t0_1=WIDER)
    bench.report("t0", offers=True)
    bench.happen(Opened("again"))
    bench.start("t0")
    assert bench.trial("t0").resources == WIDER.resources
    assert bench.answer("t0", offers=True) == SaveNow()


def test_a_copy_waits_for_what_its_donor_was_about_to_save_when_their_controller_died() -> None:
    bench = two(t0_1=COPY)
    bench.report("t1", offers=True)
    bench.report("t0", offers=True)
    bench.happen(Opened("again"))
    bench.start("t0")
    bench.start("t1")
    assert bench.answer("t1", offers=True) == GoOn()
    assert bench.answer("t1", offers=True) == SaveNow()
    assert [one.trial_id for one in bench.save("t1") if isinstance(one, Nudge)] == ["t0"]
    assert bench.trial("t0").copy.checkpoint.iteration == 2


def test_two_that_wait_for_each_other_to_save_both_go_on_when_their_controller_died() -> None:
    bench = two(t0_1=COPY, t1_1=Exploit("t0", {"x": 7}, "copies t0"))
    bench.report("t0", offers=True)
    bench.report("t1", offers=True)
    bench.happen(Opened("again"))
    assert [*bench.experiment.displaced] == ["t0", "t1"]


def test_a_trial_saves_when_the_plan_says_so_although_it_shall_copy_one_that_has_saved_nothing() -> None:
    bench = two(make_plan(retention=Retention(frequency=1)), t0_1=COPY)
    bench.end("t1")
    assert bench.answer("t0", offers=True) == SaveNow()
    assert bench.events(ExploitDropped)


def test_a_copy_that_was_due_when_the_journal_ends_is_made_when_the_experiment_is_taken_up() -> None:
    bench = two(t0_1=COPY)
    saved(bench, "t1")
    bench.report("t0")
    bench.end("t1")
    bench.end("t0", by_order=True)
    entries = bench.experiment.take_entries()
    assert isinstance(entries.pop().event, Exploited)
    resumed = Experiment(bench.plan, bound({}, 4, searcher=Listening(), scheduler=Script()))
    for entry in entries:
        resumed.replay(entry)
    resumed.handle(Opened("again"), bench.now, bench.now)
    assert [type(entry.event) for entry in resumed.take_entries()] == [Opened, Exploited]


def test_who_waits_for_a_donor_that_is_dismissed_is_dismissed_after_it() -> None:
    bench = two(make_plan(max_failures=1), t0_1=COPY)
    bench.report("t0", offers=True)
    bench.happen(Opened("again"))
    bench.start("t0")
    bench.fail("t0")
    for event in bench.experiment.ending():
        bench.happen(event)
    assert (bench.state("t0"), bench.state("t1")) == ("TERMINATED", "TERMINATED")


def test_journals_of_before_stand_as_they_did() -> None:
    bench = Bench(scheduler=Script(t0_1=Pause("waits")))
    bench.start()
    bench.report(offers=True)
    bench.happen(Interrupted("t0"))
    assert bench.state() == "PAUSED"


@pytest.mark.parametrize("fails", [False, True])
def test_a_save_that_was_under_way_already_is_not_taken_for_the_one_that_a_trial_is_to_leave_with(fails: bool) -> None:
    bench = Bench(scheduler=Script(t0_2=Pause("waits")))
    bench.start()
    assert bench.answer(offers=True) == SaveNow()
    bench.happen(SaveBegun("t0", 1, 8))
    earlier = CheckpointRef("checkpoints/t0/000001-1", 1, 10)
    assert bench.answer(offers=True) == SaveNow()
    bench.happen(SaveFailed("t0", 1, 0, "no room") if fails else Saved("t0", 1, 0, earlier))
    bench.happen(Opened("again"))
    assert bench.state() == "PENDING"


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("decision", "state"), LEAVES)
def test_a_save_on_the_way_is_not_taken_for_the_one_that_a_trial_is_to_leave_with(decision, state, fails) -> None:
    bench = Bench(make_plan(retention=Retention(frequency=2, at_end=True)), scheduler=Script(t0_3=decision))
    bench.start()
    bench.report()
    bench.report()
    assert bench.answer(offers=True) == SaveNow()
    bench.happen(Opened("again"))
    bench.start()
    bench.report()
    assert bench.answer(offers=True) == SaveNow()
    came = bench.happen(SaveFailed("t0", 2, 9, "no room")) if fails else bench.save()
    assert only(Reply, came).answer == GoOn()
    assert bench.answer(offers=True) == SaveNow()
    assert only(Reply, bench.save()).answer == Leave(decision.reason)
    bench.end(by_order=True)
    assert bench.state() == state


def test_a_trial_that_was_stopped_is_so_though_it_fails_when_it_comes_again_to_save() -> None:
    bench = Bench(make_plan(retention=Retention(at_end=True)), scheduler=Script(t0_1=Stop("reached 1", complete=True)))
    bench.start()
    bench.report(offers=True)
    bench.happen(Opened("again"))
    bench.start()
    bench.fail()
    assert (bench.state(), bench.trial().reason, bench.trial().cut_short) == ("TERMINATED", "reached 1", False)


def test_a_donor_that_failed_gives_what_it_saves_on_its_way_as_journals_of_before_have_it() -> None:
    bench = two(make_plan(max_failures=1, retention=Retention(frequency=1)), t0_1=COPY)
    bench.report("t1")
    bench.report("t1")
    bench.fail("t1")
    bench.start("t1")
    bench.report("t0")
    assert bench.answer("t1", offers=True) == SaveNow()
    assert [one.trial_id for one in bench.save("t1") if isinstance(one, Nudge)] == ["t0"]
