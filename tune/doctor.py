"""What is wrong with an experiment's directory, and what of it can be mended without loss.

Nothing here runs the user's code: the journal is folded without policies, and the recipe is only looked at.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from schedulers.base import ScheduleContext
from schedulers.fifo import FIFOScheduler
from searchers.base import SearchContext, Searcher, Suggestion
from tune.errors import CheckpointCorruptError, JournalCorruptError, NotReplayableError
from tune.machine.events import CheckpointRef
from tune.machine.experiment import Experiment
from tune.machine.plan import Plan
from tune.machine.policies import Policies
from tune.replay import replay
from tune.storage import chain, directory, journal, mark, published, publishing, recipe
from tune.storage.home import Home, address_of
from tune.storage.places import DAMAGED, Place, place_at


class Remedy(StrEnum):
    """What helps against a finding."""

    NONE = "nothing to do"
    MEND = "--mend"
    LOSS = "--accept-loss"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, what it means, and what helps. A mere `note` is no harm."""

    what: str
    meaning: str
    remedy: Remedy = Remedy.NONE
    note: bool = False


class _Silent(Searcher):
    """Takes the place of the searcher when the journal is folded to look at it."""

    def suggest(self, trial_id: str) -> Suggestion:
        raise AssertionError("nothing is suggested here")


def examine(path: Path) -> list[Finding]:
    """Everything that is wrong with the experiment in `path`.

    Raises:
        NotAnExperimentError: there is none.
    """
    findings = []
    if (holder := directory.holder(path)) is not None:
        running = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        findings.append(Finding(f"it is run by {running}", "what is unfinished may be at work", note=True))
    acknowledged = mark.reached(path)
    try:
        with journal.reading(path) as connection:
            last = chain.verify(connection)
            facts = journal.facts(connection)
        experiment = _folded(path, facts)
    except JournalCorruptError as error:
        meaning = "everything before that row is whole; what comes after it cannot be trusted"
        return [*findings, Finding(str(error), meaning, Remedy.LOSS)]
    except NotReplayableError as error:
        return [*findings, Finding(str(error), "it cannot go on with this version; nothing of it is lost")]
    try:
        journal.check_end(path, acknowledged, last)
    except JournalCorruptError:
        assert acknowledged is not None
        gone = f"rows {last[0] + 1} to {acknowledged.position} of the journal are gone"
        findings.append(Finding(gone, "they had been acknowledged: results of trials among them", Remedy.LOSS))
    findings += _checkpoints(path, experiment, running=holder is not None)
    findings += _recipe(facts)
    return findings


def mend(path: Path, *, accept_loss: bool) -> list[str]:
    """Mend what can be; with `accept_loss` also by giving up what is damaged. What was done, a sentence each.

    What is published is mended where it is: its newest journal is brought to this machine, and published again.

    Raises:
        ExperimentBusyError: somebody runs the experiment.
    """
    home = Home.at(address_of(path))
    with publishing.holding(home), publishing.claiming(home) as claim:
        if home.is_published:
            published.bring_up_to_date(home, accept_loss=accept_loss)
        done = _give_up_damage(home.live) if accept_loss else []
        with journal.reading(home.live) as connection:
            facts = journal.facts(connection)
        experiment = _folded(home.live, facts)
        directory.sweep(home.directory)
        if home.is_published:
            publishing.publish_now(home, claim)
        gone = place_at(home.address).sweep(experiment.kept_checkpoints)
        return done + [f"removed {name}" for name in gone]


def _folded(path: Path, facts: dict[str, Any]) -> Experiment:
    """The experiment as the journal has it, by nobody's decisions but those that are recorded."""
    searcher, scheduler = _Silent(), FIFOScheduler()
    searcher.bind(SearchContext())
    scheduler.bind(ScheduleContext(None, None, 0, None))
    plan = Plan(metrics=tuple(facts.get("metrics", ())), modes=tuple(facts.get("modes", ())), max_failures=-1)
    experiment = Experiment(plan, Policies(scheduler, searcher))
    replay(path, experiment)
    return experiment


def _checkpoints(path: Path, experiment: Experiment, *, running: bool) -> Iterator[Finding]:
    known = {one.path: one for one in experiment.kept_checkpoints}
    place = place_at(address_of(path))
    for one in known.values():
        yield from _checkpoint(place, one)
    for name in place.names():
        if name not in known and not running:
            yield Finding(f"{name} is of no use", "a process was killed while it saved or removed it", Remedy.MEND)
    for name in place.names(DAMAGED):
        yield Finding(f"{name} was set aside", "it is not what was saved: look at it, or remove it", note=True)


def _checkpoint(place: Place, one: CheckpointRef) -> Iterator[Finding]:
    try:
        place.release(place.fetch(one))
    except CheckpointCorruptError as error:
        yield Finding(str(error), f"its trial goes on from the checkpoint before iteration {one.iteration}")


def _recipe(facts: dict[str, Any]) -> Iterator[Finding]:
    parts = dict(facts.get("recipe", {}))
    trainable = parts.pop("trainable", {})
    lost = [f"the trainable: {trainable['lost']}"] if trainable.get("lost") else []
    for one in [*lost, *recipe.lost_parts(parts)]:
        yield Finding(f"the recipe does not keep {one}", "give it again when you resume from Python", note=True)


def _give_up_damage(path: Path) -> list[str]:
    """Go back to the last row that is whole; the journal as it was is kept beside it."""
    acknowledged = mark.reached(path)
    with journal.reading(path) as connection:
        found = chain.reach(connection)
    done = []
    if found.damage is not None:
        first, kept = found.position + 1, f"{journal.DATABASE}.bad"
        for part in journal.parts_of(path / journal.DATABASE):
            shutil.copy2(part, path / part.name.replace(journal.DATABASE, kept))
        journal.cut(path, first)
        lost = f"{found.end - found.position} rows from row {first} on"
        done.append(f"gave up {lost}; the journal as it was is {kept}")
    if found.damage is not None or acknowledged is not None:
        (path / mark.NAME).unlink(missing_ok=True)
        done.append("took what is left of the journal as all there is")
    return done
