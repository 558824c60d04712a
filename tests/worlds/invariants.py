"""What holds in every world, whatever goes wrong: I1 to I10, each a function that says its number and its sentence.

Those of entries are asked before the ledger takes an entry, those of commits when ledger and experiment know the same,
those of ends when a run has ended in good order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tests.worlds.ledger import FINAL, LIVE, Ledger
from tune.machine.events import (
    CheckpointRefused,
    Ended,
    Entry,
    Exploited,
    Failed,
    Launched,
    Reopened,
    Reported,
    SaveBegun,
    Saved,
    SaveFailed,
    TimedOut,
)
from tune.machine.experiment import Experiment

if TYPE_CHECKING:
    from tests.worlds.play import Play


class BrokenInvariantError(AssertionError):
    """An invariant does not hold: its number, its sentence, and what was seen."""

    def __init__(self, number: str, sentence: str, *seen: object) -> None:
        super().__init__("\n  ".join((f"{number} is broken: {sentence}", *map(str, seen))))
        self.number = number


# Of each entry.


def one_writer(ledger: Ledger, entry: Entry) -> None:
    match event := entry.event:
        case Launched():
            account = ledger.accounts[event.trial_id]
            if event.attempt != account.attempt + 1 or account.state in LIVE:
                sentence = "an attempt begins when the one before it is over, under the next number"
                raise BrokenInvariantError("I1", sentence, event, account)
        case Reported() | SaveBegun() | Saved() | SaveFailed() | Ended() | Failed() | CheckpointRefused():
            account = ledger.accounts[event.trial_id]
            if event.attempt != account.attempt or account.state not in LIVE:
                sentence = "only the attempt that was launched last is heard, while it runs"
                raise BrokenInvariantError("I1", sentence, event, account)


def no_gap_and_no_double(ledger: Ledger, entry: Entry) -> None:
    match event := entry.event:
        case Reported() | Ended() if entry.iteration is not None:
            account = ledger.accounts[event.trial_id]
            if entry.iteration != account.reached + 1 or (event.attempt, entry.iteration) in account.accepted:
                sentence = "a result is its trial's next iteration, and none is taken twice"
                raise BrokenInvariantError("I2", sentence, event, account)


def starts_where_it_was_saved(ledger: Ledger, entry: Entry) -> None:
    match event := entry.event:
        case Launched():
            saved = ledger.accounts[event.trial_id].saved
            if event.checkpoint != (saved[-1] if saved else None):
                sentence = "an attempt starts from the latest checkpoint that its trial saved"
                raise BrokenInvariantError("I3", sentence, event, saved)
        case CheckpointRefused():
            saved = ledger.accounts[event.trial_id].saved
            earlier = {one.iteration for one in saved if one.path != event.checkpoint.path}
            if (entry.iteration or 0) not in {0, *earlier}:
                sentence = "a damaged checkpoint gives way to an earlier one, or the beginning"
                raise BrokenInvariantError("I3", sentence, entry, saved)
        case Exploited():
            if event.checkpoint.iteration > ledger.furthest:
                raise BrokenInvariantError("I3", "a copy starts where somebody has been", event, ledger.furthest)


def final_is_final(ledger: Ledger, entry: Entry) -> None:
    event = entry.event
    account = ledger.accounts.get(getattr(event, "trial_id", ""))
    if account is not None and account.state in FINAL and not isinstance(event, Reopened):
        raise BrokenInvariantError("I5", "what is over is over, unless the user reopens it", event, account)


def saving_is_no_silence(ledger: Ledger, entry: Entry) -> None:
    event = entry.event
    if isinstance(event, TimedOut) and "report_timeout_s" in event.why and ledger.accounts[event.trial_id].saving:
        raise BrokenInvariantError("I7", "no trial is called silent while it saves", event)


OF_ENTRIES = (one_writer, no_gap_and_no_double, starts_where_it_was_saved, saving_is_no_silence, final_is_final)


# Of each commit.


def resources_are_kept_to(play: Play) -> None:
    for node, held in play.ground.held.items():
        has = play.capacity[node]
        if not 0 <= held <= has:
            raise BrokenInvariantError("I4", "no more is held on a node than it has", f"{held} of {has} on {node}")


def each_pays_for_his_own(play: Play) -> None:
    plan, trials = play.world.plan, play.experiment.trials
    for name, account in play.ledger.accounts.items():
        trial = trials[name]
        if trial.failures > account.own or trial.infra_failures > account.foreign:
            sentence = "a trial pays for its own failures, and not for those of others"
            raise BrokenInvariantError("I7", sentence, trial, account)
        allowed = plan.attempts_left(trial.failures) and trial.infra_failures <= plan.max_infra_failures
        if not allowed and not trial.state.final:
            raise BrokenInvariantError("I7", "no trial goes on that has failed more often than it may", trial, plan)


def checkpoints_are_there(play: Play) -> None:
    there = play.disk.whole
    for kept in play.experiment.kept_checkpoints:
        if kept.path not in there:
            raise BrokenInvariantError("I8", "what a trial may start from is there", kept, there)


OF_COMMITS = (resources_are_kept_to, each_pays_for_his_own, checkpoints_are_there)


# Of each end in good order.


def all_is_given_back(play: Play) -> None:
    if any(play.ground.held.values()):
        raise BrokenInvariantError("I4", "nothing is held when the run is over", play.ground.held)
    if play.ground.running:
        raise BrokenInvariantError("I4", "nothing runs when the run is over", play.ground.running)


def the_searcher_is_told_once(play: Play) -> None:
    for name, trial in play.experiment.trials.items():
        reopened = play.ledger.accounts[name].reopened
        ended, added = play.witness.ended.get(name, 0), play.witness.added.get(name, 0)
        if ended != trial.state.final + reopened or added != 1 + reopened:
            sentence = "the search algorithm is told of each trial once, and once of its end"
            seen = f"{name}: added {added} times, ended {ended} times, reopened {reopened} times, {trial.state}"
            raise BrokenInvariantError("I6", sentence, seen)


OF_ENDS = (all_is_given_back, the_searcher_is_told_once)


# Of what happens in between.


def starts_alone(ledger: Ledger, call_id: str, running: Iterable[str]) -> None:
    trial_id, _, attempt = call_id.partition(".")
    account = ledger.accounts.get(trial_id)
    if account is None or account.attempt != int(attempt):
        raise BrokenInvariantError("I1", "an attempt starts once its launch is committed", call_id, account)
    if beside := [one for one in running if one.startswith(f"{trial_id}.")]:
        raise BrokenInvariantError("I1", "no two attempts of a trial run at the same time", call_id, beside)


def acknowledged_is_committed(ledger: Ledger, trial_id: str, attempt: int, iteration: int) -> None:
    account = ledger.accounts.get(trial_id)
    if account is None or (attempt, iteration) not in account.accepted:
        seen = f"{trial_id}.{attempt} at {iteration}"
        raise BrokenInvariantError("I3", "no result is acknowledged before it is kept", seen, account)


def ends_in_time(turns: int, most: int) -> None:
    if turns >= most:
        raise BrokenInvariantError("I9", "every experiment ends", f"not in {most} turns of the loop")


def all_ends(play: Play, *, something_went_wrong: bool) -> None:
    """A run has ended in good order, and some trials have not."""
    if not something_went_wrong:
        sentence = "once nothing goes wrong any more, the experiment ends and all its trials with it"
        raise BrokenInvariantError("I9", sentence, play.unfinished, play.experiment.closing)


def nothing_raises(said: Collection[str]) -> None:
    if said:
        raise BrokenInvariantError("I9", "nothing raises, nor is refused, whose user has not made it raise", *said)


_OF_THE_PROCESS = frozenset(("plan", "policies", "searcher_waits", "_fresh", "_said"))


def stands_where_it_stood(before: Experiment, after: Experiment) -> None:
    """The journal, folded by another process, comes to the same."""
    for name in vars(before).keys() - _OF_THE_PROCESS:
        one, other = getattr(before, name), getattr(after, name)
        if one != other and repr(one) != repr(other):  # not a number is no equal of itself
            raise BrokenInvariantError("I10", "a resumed experiment stands where it stood", name, one, other)


def leads_where_it_led(entry: Entry, after: Experiment) -> None:
    trial_id = getattr(entry.event, "trial_id", None)
    if trial_id is not None and after.trials[trial_id].state != entry.state:
        sentence = "an entry read back leads its trial where it led it"
        raise BrokenInvariantError("I10", sentence, entry, after.trials[trial_id])


def comes_to_the_same(killed: Mapping[Any, Any], whole: Mapping[Any, Any]) -> None:
    """Trials ran one after the other, and nothing but the driver died."""
    if differing := [key for key in {**whole, **killed} if killed.get(key) != whole.get(key)]:
        seen = [f"{key}: {killed.get(key)} and not {whole.get(key)}" for key in differing]
        raise BrokenInvariantError("I10", "an experiment whose driver died ends as it would have", *seen)
