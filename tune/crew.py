"""The experiment's side of the executor: which call runs for which attempt and in which room, and what it is told."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from executor.interface import Prepared, TrialExecutor
from executor.messages import Call, Died, Raised, Reservation, Returned
from executor.resources import Request
from tune.errands import Errands
from tune.machine.events import (
    CheckpointRef,
    Command,
    DeleteCheckpoint,
    Kill,
    Launched,
    Leave,
    Nudge,
    Reply,
    SetAside,
    Start,
)
from tune.porter import Porter
from tune.storage.directory import LOGS, rendezvous
from tune.storage.places import DirectoryPlace, Keeper
from tune.worker.messages import Arrived, Piece, Task, Want

log = logging.getLogger(__name__)

_ENDING_S = 5.0
_ANSWER_S = 0.5
_MOST_ASKED = 32  # hung processes at a time: each may take its half second to say where it stands


class Crew:
    """Rooms and calls of one experiment. Rooms are taken and left on the loop's thread; commands come on the journal's.

    With `reuse` a room is kept, with the process in it, for the next trial that asks for as much. `keeper` has
    the checkpoints, which are in the experiment's directory by default, and `porter` carries those of trials that do
    not see it.
    """

    def __init__(
        self,
        executor: TrialExecutor,
        program: Prepared,
        directory: Path,
        *,
        keeper: Keeper | None = None,
        porter: Porter | None = None,
        reuse: bool = False,
        logs: bool = True,
    ) -> None:
        self._executor = executor
        self._program = program
        self._directory = directory
        self._keeper = keeper or DirectoryPlace(str(directory))
        self._porter = porter or Porter(DirectoryPlace(str(directory)), aside=executor.real_time)
        self._reuse = reuse
        self._logs = str(directory / LOGS) if logs else None
        self._attempts: dict[str, tuple[str, int]] = {}
        self._rooms: dict[str, Reservation] = {}
        self._idle: list[Reservation] = []
        self._given_up: set[int] = set()
        self._releasing = 0
        self._disbanded = False
        self._stacks: dict[str, str] = {}
        self._removing = Errands(1, "checkpoint-remover", aside=executor.real_time)
        self._asking = Errands(_MOST_ASKED, "stack-reader", aside=executor.real_time)

    # Rooms.

    def take_room(self, request: Request) -> Reservation | None:
        """Room for `request`, one kept from before if there is; None when it does not fit just now.

        Raises:
            InfeasibleRequestError: no node can ever hold it.
        """
        for at, reservation in enumerate(self._idle):
            if reservation.request == request:
                return self._idle.pop(at)
        found = self._executor.reserve(request)
        while found is None and self._idle:
            self._release(self._idle.pop())
            found = self._executor.reserve(request)
        return found

    @property
    def frees_room(self) -> bool:
        """Whether room that was given back cannot be reserved again yet."""
        return self._releasing > 0

    def room_freed(self) -> None:
        """Room that was given back can be reserved again."""
        self._releasing = max(self._releasing - 1, 0)

    def _release(self, room: Reservation) -> None:
        self._releasing += 1
        self._executor.release(room)

    def keep_room(self, room: Reservation) -> None:
        """Hold an empty room for whoever comes next."""
        self._idle.append(room)

    def move_in(self, launched: Launched, room: Reservation) -> None:
        """An attempt will run in `room`, once it is started."""
        call_id = _call_id(launched.trial_id, launched.attempt)
        self._rooms[call_id] = room
        self._attempts[call_id] = launched.trial_id, launched.attempt

    def attempt_of(self, call_id: str) -> tuple[str, int] | None:
        """The trial and the attempt that a call runs for; None for a call that is none of this run's."""
        return self._attempts.get(call_id)

    def move_out(self, call_id: str, *, in_order: bool) -> None:
        """A call ended: its room is kept for the next trial if its process may be, and given back otherwise."""
        trial_id, attempt = self._attempts.pop(call_id)
        self._stacks.pop(call_id, None)
        self._porter.forget(trial_id, attempt)
        room = self._rooms.pop(call_id)
        if room.request.gang:
            shutil.rmtree(rendezvous(self._directory, trial_id, attempt), ignore_errors=True)
        if self._reuse and in_order and room.reservation_id not in self._given_up:
            self._idle.append(room)
        else:
            self._given_up.discard(room.reservation_id)
            self._release(room)

    def leave_node(self, node: str) -> list[tuple[str, int]]:
        """Keep no room on a node that is to be emptied; the attempts that run there still."""
        for room in [room for room in self._idle if node in room.nodes]:
            self._idle.remove(room)
            self._release(room)
        running = [call_id for call_id, room in self._rooms.items() if node in room.nodes]
        self._given_up.update(self._rooms[call_id].reservation_id for call_id in running)
        return [self._attempts[call_id] for call_id in running]

    def kill_all(self, reason: str) -> None:
        """End every call at once, whatever the journal does."""
        for call_id in list(self._attempts):
            self._executor.kill(call_id, reason)

    def disband(self) -> None:
        """End what still runs, give all room back, and finish removing checkpoints."""
        self._disbanded = True
        self.kill_all("the run ended")
        until = self._executor.clock() + _ENDING_S
        while self._attempts and self._executor.clock() < until:
            for event in self._executor.events(until):
                if isinstance(event, Returned | Raised | Died) and event.call_id in self._attempts:
                    self.move_out(event.call_id, in_order=False)
        for room in [*self._rooms.values(), *self._idle]:
            self._executor.release(room)
        self._asking.finish()
        self._removing.finish()
        self._porter.close()

    # Commands.

    def carry_out(self, commands: Sequence[Command]) -> None:
        """Do what the machine wants done. Runs on the journal's thread, after the commit."""
        with self._executor.together():
            for command in commands:
                try:
                    self._carry_out(command)
                except Exception:
                    log.exception("%r could not be carried out", command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Reply(trial_id, attempt, seq, answer):
                if isinstance(answer, Leave):
                    self._prepare_to_leave(_call_id(trial_id, attempt))
                self._executor.reply(_call_id(trial_id, attempt), seq, answer)
            case Start():
                if not self._disbanded:  # the journal may still be letting out what the run is not there for any more
                    self._start(command)
            case Nudge(trial_id, attempt):
                self._executor.cancel(_call_id(trial_id, attempt))
            case Kill(trial_id, attempt, reason, stacks=True):
                self._asking.do(self._ask_and_kill, _call_id(trial_id, attempt), reason)
            case Kill(trial_id, attempt, reason):
                self._executor.kill(_call_id(trial_id, attempt), reason)
            case DeleteCheckpoint(checkpoint):
                self._removing.do(self._keeper.delete, checkpoint)
            case SetAside(checkpoint):
                self._removing.do(self._set_aside, checkpoint)
            case _:
                assert_never(command)

    def carry(self, call_id: str, seq: int, payload: Piece | Arrived | Want) -> None:
        """Take in or give out a piece of a checkpoint, for a trial that does not see the experiment's directory."""
        self._porter.take(*self._attempts[call_id], payload, partial(self._executor.reply, call_id, seq))

    def _prepare_to_leave(self, call_id: str) -> None:
        """Before rank 0 of a gang leaves: then it is no failure when the others lose it."""
        room = self._rooms.get(call_id)
        if room is not None and room.request.gang:
            self._executor.cancel(call_id)

    def _start(self, start: Start) -> None:
        call_id = _call_id(start.trial_id, start.attempt)
        room = self._rooms[call_id]
        resources = room.request.bundles[0].as_dict()
        task = Task(start.trial_id, start.attempt, start.config, start.checkpoint, resources, start.free_until)
        log_path = f"{self._logs}/{start.trial_id}.log" if self._logs else None
        call = Call(call_id, task, seed=start.seed, fresh=not self._reuse, log_path=log_path)
        self._executor.start(self._program, room, call)

    def _set_aside(self, checkpoint: CheckpointRef) -> None:
        if where := self._keeper.set_aside(checkpoint):
            log.warning("the damaged checkpoint %s is kept as %s, to look at", checkpoint.path, where)

    def _ask_and_kill(self, call_id: str, reason: str) -> None:
        """End a call that hangs, once its process has said where it stands, if it can."""
        try:
            self._stacks[call_id] = self._executor.stacks(call_id, timeout_s=_ANSWER_S)
        finally:
            self._executor.kill(call_id, reason)

    def stacks_of(self, call_id: str) -> str:
        """Where an attempt stood that was ended for hanging; empty for any other."""
        return self._stacks.pop(call_id, "")


def _call_id(trial_id: str, attempt: int) -> str:
    """The attempt is part of a call's name: what an old attempt still says is never taken for the new one's."""
    return f"{trial_id}.{attempt}"
