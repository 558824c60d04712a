"""Who pays for an attempt that failed: the trial's own failures, the infrastructure's, or nobody's.

=====================================================  ===============
what ended the attempt                                 who pays
=====================================================  ===============
an exception of the user's code                        the trial
a signal that code gives itself: SIGSEGV, SIGABRT ...  the trial
an exit before the function returned, with any code    the trial
no memory left                                         the trial
a report, start or trial timeout                       the trial
a report that nobody could take                        the trial, with all it has
SIGKILL, SIGTERM and others from outside               infrastructure
a process that is gone, or could not be started        infrastructure
a gpu of its that its node found to be lost            infrastructure
a kill of ours, on order                               nobody
a death after it was told to leave                     nobody
whatever happens while it leaves for an interrupt      nobody
=====================================================  ===============

The trial's own failures are limited by ``max_failures``, those of the infrastructure by ``max_infra_failures``, with a
pause before each retry but the first. A trial whose process dies three times without anything new in between is
poison: it has failed for good, whatever it has left.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from tune.machine.events import Failure
from tune.machine.plan import Plan
from tune.machine.standing import derive_seed
from tune.machine.trial import Trial, TrialState

MOST_BARREN_DEATHS = 3
_OWN_SIGNALS = frozenset("SIGSEGV SIGABRT SIGFPE SIGBUS SIGILL SIGSYS SIGTRAP SIGXCPU SIGXFSZ SIGALRM SIGPIPE".split())
_LONGEST_PAUSE_S = 60.0


class Payer(StrEnum):
    """Whose budget a failure is charged to."""

    TRIAL = "trial"
    INFRASTRUCTURE = "infrastructure"
    NOBODY = "nobody"


def payer_of(trial: Trial, failure: Failure) -> Payer:
    """Who pays for the failure of the attempt that `trial` is in.

    A death on the way out is nobody's, but what it raises there is its own until it was let go: it comes from saving
    the checkpoint that it was asked for. Not so when the user interrupts the run: he will go on, when there is room on
    his disk again.
    """
    if trial.interrupted:
        return Payer.NOBODY
    if trial.state is not TrialState.RUNNING:
        own = failure.kind in ("raised", "refused") and not trial.told_to_leave
        return Payer.TRIAL if own else Payer.NOBODY
    match failure.kind:
        case "killed":
            return Payer.NOBODY
        case "died":
            own = failure.out_of_memory or failure.exit_code is not None or failure.signal in _OWN_SIGNALS
            return Payer.TRIAL if own else Payer.INFRASTRUCTURE
        case _:
            return Payer.TRIAL


def judged(plan: Plan, trial: Trial, failure: Failure) -> tuple[Failure, bool]:
    """The failure as it is to be told, and whether it is the trial's last. Changes nothing."""
    payer = payer_of(trial, failure)
    if payer is Payer.NOBODY:
        return failure, False
    deaths = [*trial.barren_deaths, failure.summary] if failure.kind == "died" else []
    if len(deaths) >= MOST_BARREN_DEATHS:
        return _as_poison(failure, deaths), True
    if failure.kind == "refused" or (failure.kind == "timed_out" and trial.time_is_spent):
        return failure, True
    if payer is Payer.INFRASTRUCTURE:
        return failure, 0 <= plan.max_infra_failures <= trial.infra_failures
    return failure, not plan.attempts_left(trial.failures + 1)


def pause_s(plan: Plan, trial: Trial) -> float:
    """How long a trial rests after its latest failure of the infrastructure: not after the first, then 1, 2, 4 ... s.

    Up to half of it is taken off by chance, drawn from the seed, so that many do not come back at the same moment.
    """
    if trial.infra_failures < 2:
        return 0.0
    longest = min(2.0 ** (trial.infra_failures - 2), _LONGEST_PAUSE_S)
    chance = derive_seed(plan.seed, trial.number * 1000 + trial.infra_failures) / 2**32
    return longest * (1 - chance / 2)


def _as_poison(failure: Failure, deaths: list[str]) -> Failure:
    told = "; ".join(f"{number}. {death}" for number, death in enumerate(deaths, 1))
    summary = f"its process died {len(deaths)} times with nothing new reported or saved in between: {told}"
    return replace(failure, summary=summary)
