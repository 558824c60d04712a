"""Conducts one job from its description to its results: the one function behind both doors."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from executor.connect import connect
from executor.interface import Prepared, Program, TrialExecutor
from executor.resources import Request
from tune.asking import Asking, AskingAside, AskingInline
from tune.conclusion import conclude, told_how_to_go_on
from tune.crew import Crew
from tune.errors import (
    InvalidArgumentError,
    NotRebuildableError,
)
from tune.interrupts import AT_ONCE, interruptible
from tune.job import Job
from tune.loop import Amending, Loop, Observer
from tune.machine.events import Event
from tune.machine.experiment import Experiment
from tune.machine.policies import Policies
from tune.notices import Notices, NoticesAside, NoticesAtOnce, Telling
from tune.porter import Porter
from tune.reopening import Foreign, Reopening, compare
from tune.replay import replay
from tune.storage import chain, data, directory, journal, mark, published, publishing, recipe
from tune.storage.claim import Claim
from tune.storage.grouped import GroupedJournal
from tune.storage.journal import Journal, SqliteJournal
from tune.storage.places import DirectoryPlace, Keeper
from tune.storage.writer import WriterJournal
from tune.views import reading
from tune.views.progress import progress
from tune.views.results import ResultGrid
from tune.worker.program import TrialProgram
from tune.worker.session import Setting

__all__ = ["Staging", "conduct"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Staging:
    """What takes the place of the trainable in a simulation, and who watches.

    Nobody reads the journal before the end or goes on after a crash, so it is written in large groups.
    """

    program: Program
    observer: Observer


class Held(NamedTuple):
    """What a run has of its experiment alone: workers know the directory by `token`, a URL's machines by `claim`."""

    token: str
    claim: Claim | None


def conduct(
    job: Job,
    *,
    resume: bool = False,
    reopening: Reopening | None = None,
    raise_on_failed_trial: bool = False,
    staging: Staging | None = None,
    begun: Callable[[], None] = lambda: None,
) -> ResultGrid:
    """Run `job` to its end, or on from where its directory stands; with `staging`, as a simulation.

    On resume `reopening` says which trials go on. `begun` is called once the journal says that the run has begun.

    Raises:
        InvalidArgumentError: the job has mistakes; nothing was started.
        ExperimentBusyError: another process runs in its directory.
        TuneError: it could not go on; what was reached is kept.
    """
    job.check()
    with _claimed(job), _held(job, resume) as held:
        if resume:
            _recall(job)
        policies = job.policies()
        foreign = _hold_against_space(job, policies) if resume else None
        for remark in job.remarks:
            log.warning("%s", remark)
        experiment = Experiment(job.plan(), policies)
        with _tidied(job, experiment, held), _executor(job) as executor:
            variables = (job.run.runtime_env or {}).get("env_vars")
            played = staging.program if staging else _program(job, experiment, held)
            program = executor.prepare(played, environment=variables)
            _check_feasible(executor, experiment.plan.request)
            if resume:
                journal.fence(job.home.live)
                _read_back(job, experiment, held)
                _restate(job)
            else:
                journal.create(job.home.live, job.facts())
            amending = _amending(job, reopening or Reopening(), foreign) if resume else None
            _run(job, experiment, executor, program, held, staging, amending, begun)
    return conclude(job.home.address, experiment, raise_on_failed_trial=raise_on_failed_trial)


def _run(
    job: Job,
    experiment: Experiment,
    executor: TrialExecutor,
    program: Prepared,
    held: Held,
    staging: Staging | None,
    amending: Amending | None,
    begun: Callable[[], None],
) -> None:
    """Run the experiment from where it stands to its end, with everybody told who is to be."""
    with (
        told_how_to_go_on(job.home.address),
        contextlib.closing(_journal(job, executor, staging)) as written,
        _published(job, held) as keeper,
    ):
        crew = Crew(
            executor,
            program,
            job.directory,
            keeper=keeper,
            porter=Porter(job.place) if isinstance(job.place, DirectoryPlace) else None,
            reuse=job.tune.reuse_actors,
            logs=job.run.log_to_file,
        )
        asking = _asking(experiment.policies, executor)
        loop = Loop(experiment, executor, written, crew, [staging.observer] if staging else [], asking)
        if held.claim is not None:
            held.claim.when_lost(loop.abandon)
        notices = _notices(job, experiment, loop, executor)
        with interruptible(loop.interrupt), contextlib.closing(notices) if notices else contextlib.nullcontext():
            loop.open(amending)
            begun()
            with _shown(job, experiment) as watch:
                if watch is not None:
                    loop.observe(watch)
                loop.run()


@contextlib.contextmanager
def _claimed(job: Job) -> Iterator[None]:
    """Give a run that was given no name a directory that nobody else has; gone again if nothing came of it."""
    if job.run.name is not None:
        yield
        return
    plain = job.name
    for number in itertools.count(2):
        try:
            job.directory.mkdir(parents=True)
            break
        except FileExistsError:
            job.name = f"{plain}_{number}"
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            job.directory.rmdir()


@contextlib.contextmanager
def _tidied(job: Job, experiment: Experiment, held: Held) -> Iterator[None]:
    """Leave no empty folders: workers make them, and remove logs that are empty until the executor is closed.

    Nor any checkpoint that nobody was told of: an attempt may have died after it was complete.
    """
    try:
        yield
        _sweep(job, experiment, held)
    finally:
        for name in (directory.LOGS, directory.RENDEZVOUS):
            with contextlib.suppress(OSError):
                (job.directory / name).rmdir()


def _sweep(job: Job, experiment: Experiment, held: Held) -> None:
    """Remove the checkpoints that are of no use, once no published journal counts on them any more."""
    if job.home.is_published and not publishing.publish_the_end(job.home, held.claim):
        return
    try:
        job.place.sweep(experiment.kept_checkpoints)
    except Exception as error:  # noqa: BLE001 (whatever a storage has against it, the results stand)
        log.warning("%s: what is of no use there could not be removed: %s", job.home.address, error)


@contextlib.contextmanager
def _executor(job: Job) -> Iterator[TrialExecutor]:
    """The executor the job names; closed at the end unless the caller made it."""
    given = job.run.executor
    sent = {} if job.run.runtime_env is None else {"runtime_env": job.run.runtime_env}
    executor = connect(given, experiment=job.directory.name, **sent)
    try:
        yield executor
    finally:
        if executor is not given:
            executor.close()


def _check_feasible(executor: TrialExecutor, request: Any) -> None:
    """Refuse a request that no node can ever hold before anything starts."""
    if isinstance(request, Request) and (reservation := executor.reserve(request)) is not None:
        executor.release(reservation)


@contextlib.contextmanager
def _held(job: Job, resume: bool) -> Iterator[Held]:
    """Hold the experiment until every process of the run is gone; gone again if nothing came of it.

    One that goes on has its newest journal here.
    """
    with publishing.holding(job.home) as hold:
        if not resume:
            _refuse_taken(job)
        with publishing.claiming(job.home) as claim:
            if claim is not None and not resume:  # another may have ended while it was waited for
                _refuse_taken(job)
            if resume and job.home.is_published:
                published.bring_up_to_date(job.home)
            yield Held(hold.token, claim)


def _refuse_taken(job: Job) -> None:
    """Refuse a name under which there is something already."""
    home = job.home
    if (home.live / journal.DATABASE).exists() or published.is_there(home):
        raise InvalidArgumentError(
            [f"{home.address} holds an experiment already: pass resume=True to go on with it, or another name"]
        )
    if job.place.names():
        gone = "holds checkpoints of an experiment whose journal is gone"
        raise InvalidArgumentError([f"{home.address} {gone}: remove them, or give another name"])


@contextlib.contextmanager
def _published(job: Job, held: Held) -> Iterator[Keeper]:
    """Who keeps the checkpoints; where readers elsewhere have only what is published, the journal's publisher."""
    if not job.home.is_published:
        yield job.place
        return
    with contextlib.closing(publishing.Publisher(job.home, job.place, held.claim)) as publisher:
        yield publisher


def _recall(job: Job) -> None:
    """Take what the run must not be given anew: its seed, what it knew before it began, and where its space began."""
    with journal.reading(job.home.live) as connection:
        facts = journal.facts(connection)
        change = journal.space_change(connection)
        trials = reading.read_trials(connection)
    job.seed = facts["seed"]
    if recipe.is_another_space(facts["recipe"]["space"], data.encode(job.space)):
        job.first_of_space = len(trials)
    elif change is not None:
        job.first_of_space = change.first
    if (known := facts["recipe"].get("tune", {}).get("warm_start")) is not None:
        job.tune = replace(job.tune, warm_start=data.decode(known, code=True))


def _hold_against_space(job: Job, policies: Policies) -> Foreign | None:
    """Which earlier trials the searcher is not told of; what there is to do about them when the space changes now."""
    with journal.reading(job.home.live) as connection:
        change = journal.space_change(connection)
        trials = reading.read_trials(connection)
    if job.first_of_space == (change.first if change else 0):
        policies.foreign = frozenset(change.foreign if change else ())
        return None
    foreign = compare({trial.trial_id: trial.config() for trial in trials}, policies.searcher.context)
    policies.foreign = frozenset(foreign.reasons)
    job.remarks.append(str(foreign))
    return foreign


def _amending(job: Job, reopening: Reopening, foreign: Foreign | None) -> Amending:
    """What the user wants otherwise than the experiment stands."""

    def amend(experiment: Experiment) -> Iterator[Event]:
        if foreign is not None:
            yield from foreign.events(experiment)
        yield from reopening.events(experiment, job.stopper())

    return amend


def _read_back(job: Job, experiment: Experiment, held: Held) -> None:
    """Fold the journal, so that the experiment and its policies stand where they stood."""
    live = job.home.live
    acknowledged = mark.reached(live)
    with journal.reading(live) as connection:
        journal.check_end(live, acknowledged, chain.last(connection))
    replay(live, experiment, code=True)
    trials = experiment.trials.values()
    for trial in trials:
        if not trial.state.final and (lost := data.lost_in(data.encode(trial.config))):
            raise NotRebuildableError(
                f"{trial.trial_id} cannot go on: {lost[0][0]!r} of its configuration was {lost[0][1]}, which data"
                " cannot keep; use numbers, strings, or functions that can be imported"
            )
    directory.sweep(job.directory)
    _sweep(job, experiment, held)


def _restate(job: Job) -> None:
    """Keep what this run was given, for the next one; another trainable than before is said, once."""
    facts = job.facts()
    with journal.reading(job.home.live) as connection:
        before = journal.facts(connection)
    if recipe.has_changed(before["recipe"]["trainable"], facts["recipe"]["trainable"]):
        log.warning("%s has changed since %s began; going on with the new one", job.trainable_name, job.name)
    journal.restate(job.home.live, facts)


def _program(job: Job, experiment: Experiment, held: Held) -> Program:
    plan = experiment.plan
    announces = not (plan.start_timeout_s is plan.report_timeout_s is None)
    setting = Setting(
        str(job.directory),
        job.name,
        plan.metrics,
        job.tune.reuse_actors,
        announces,
        job.place.held(held.token),
        job.run.checkpoint_config.asynchronous,
    )
    return TrialProgram(job.fitted.trainable, setting, job.fitted.parameters)


def _journal(job: Job, executor: TrialExecutor, staging: Staging | None) -> Journal:
    inline = SqliteJournal(job.home.live, durability=job.run.durability)
    if staging is not None:
        return GroupedJournal(inline)
    return WriterJournal(inline, on_loss=executor.wake) if executor.real_time else inline


def _asking(policies: Policies, executor: TrialExecutor) -> Asking:
    """Aside where the searcher is slow; in virtual time nothing is, and all is to happen in one order."""
    if executor.real_time and policies.searcher.is_slow:
        return AskingAside(policies, executor.wake)
    return AskingInline(policies)


def _notices(job: Job, experiment: Experiment, loop: Loop, executor: TrialExecutor) -> Notices | None:
    """What tells the job's callbacks of the run; they know already that it begins."""
    if not job.run.callbacks:
        return None
    telling = Telling(job.run.callbacks, experiment.trials.values(), loop.post)
    notices: Notices = NoticesAtOnce(telling, experiment)
    if executor.real_time:
        notices = NoticesAside(
            telling, experiment, on_leaving=loop.close, hurried=lambda: loop.interrupts >= AT_ONCE - 1
        )
    notices.setup(str(job.directory), job.name)
    loop.observe(notices)
    loop.before_end(notices.catch_up)
    return notices


@contextlib.contextmanager
def _shown(job: Job, experiment: Experiment) -> Iterator[Observer | None]:
    """What a person sees while the run goes on; nothing at all with ``verbose=0``."""
    shown = progress(
        experiment,
        name=job.name,
        directory=job.directory,
        total=experiment.policies.searcher.total_trials,
        verbose=job.run.verbose,
        plain=not job.run.log_to_file,  # what trials print would tear a picture
    )
    if shown is None:
        yield None
        return
    with shown:
        yield shown
