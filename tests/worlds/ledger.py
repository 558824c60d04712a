"""The reference model: what the committed entries of an experiment say of each trial, kept as plainly as can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tune.machine.events import (
    CheckpointRef,
    CheckpointRefused,
    Ended,
    Entry,
    Exploited,
    Failed,
    Failure,
    Launched,
    Reopened,
    Reported,
    SaveBegun,
    Saved,
    SaveFailed,
    Suggested,
)

FINAL = ("TERMINATED", "ERROR")
LIVE = ("RUNNING", "PAUSING", "STOPPING", "SUSPENDING")
OWN_SIGNAL = "SIGSEGV"
"""How a trial of a world crashes; any other signal comes from outside."""


@dataclass(slots=True)
class Account:
    """One trial: `reached` is its iteration, `own` and `foreign` count its failures, by whose fault.

    `saved` are the checkpoints it may start from, the latest last; `saving` while one is under way.
    """

    state: str = "PENDING"
    attempt: int = 0
    reached: int = 0
    own: int = 0
    foreign: int = 0
    reopened: int = 0
    saved: list[CheckpointRef] = field(default_factory=list)
    saving: bool = False
    accepted: set[tuple[int, int]] = field(default_factory=set)


class Ledger:
    """The accounts of all trials, from the entries in the order of their commits."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.accounts: dict[str, Account] = {}
        self.furthest = 0
        for entry in entries:
            self.take(entry)

    def take(self, entry: Entry) -> None:
        """Write one committed entry down."""
        event = entry.event
        trial_id = getattr(event, "trial_id", None)
        if trial_id is None:
            return
        if isinstance(event, Suggested):
            self.accounts[trial_id] = Account()
            return
        account = self.accounts[trial_id]
        self._follow(account, entry)
        account.saving = _saves(account, entry)
        if isinstance(event, Failed):
            self._charge(account, event)
        account.state = entry.state or account.state
        self.furthest = max(self.furthest, account.reached)

    @staticmethod
    def _follow(account: Account, entry: Entry) -> None:
        """How far a trial is, and what it may start from."""
        match event := entry.event:
            case Launched():
                account.attempt, account.reached = event.attempt, entry.iteration or 0
            case Reported() | Ended():
                if entry.iteration is not None:
                    account.reached = entry.iteration
                    account.accepted.add((event.attempt, entry.iteration))
                if isinstance(event, Reported) and event.checkpoint:
                    account.saved.append(event.checkpoint)
            case Saved():
                account.saved.append(event.checkpoint)
            case Exploited():
                account.saved.append(event.checkpoint)
                account.reached = event.checkpoint.iteration
            case CheckpointRefused():
                account.reached = entry.iteration or 0
                account.saved = [one for one in account.saved if one.path != event.checkpoint.path]
                while account.saved and account.saved[-1].iteration != entry.iteration:
                    account.saved.pop()
            case Reopened():
                account.own = account.foreign = 0
                account.reopened += 1
                account.saved = [] if event.restart else account.saved

    @staticmethod
    def _charge(account: Account, event: Failed) -> None:
        if is_own(event.failure):
            account.own += 1
        elif event.failure.kind == "died":
            account.foreign += 1


def _saves(account: Account, entry: Entry) -> bool:
    """Whether a save is under way, once asked for or begun."""
    match entry.event:
        case SaveBegun():
            return True
        case Reported(saves=saves):
            return saves or (entry.verdict is not None and entry.verdict.save)
        case Launched() | Saved() | SaveFailed():
            return False
    return account.saving


def is_own(failure: Failure) -> bool:
    """Whether a trial brought its end upon itself, as worlds do it: by exception, exit, crash, hunger or silence."""
    if failure.kind == "died":
        return failure.out_of_memory or failure.exit_code is not None or failure.signal == OWN_SIGNAL
    return failure.kind in ("raised", "timed_out", "refused")
