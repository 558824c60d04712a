"""Who lends cpus while it waits, who is owed some, and who may use what was freed."""

from __future__ import annotations

from executor.library.actors import Actors
from executor.library.groups import Groups
from executor.library.tasks import Tasks
from executor.library.waits import NO_CALL
from executor.library.workers import Worker


class Lending:
    """Notes that room was freed, and gives it out in turn: to whom it was lent by, to groups, actors and tasks.

    The cpus of a worker are lent while each of its calls waits for others, and are owed to it once one goes on.
    """

    def __init__(self, tasks: Tasks, actors: Actors, groups: Groups) -> None:
        self._tasks = tasks
        self._actors = actors
        self._groups = groups
        self._owed: dict[int, Worker] = {}
        self.room_freed = False
        """Whether anything was freed that nobody has been asked for yet."""

    def stand_still(self, worker: Worker, request: int, call: int) -> None:
        """A call does, until a request of its worker is answered or given up."""
        is_first = not worker.waits.calls
        worker.waits.stand_still(request, _waiter(worker, call))
        if is_first and self._tasks.runs(worker):
            self._tasks.recall_behind(worker)
            self.room_freed = True  # also without cpus: among so many workers those that wait do not count
        self.weigh(worker)

    def close(self, worker: Worker, request: int) -> None:
        """A request is answered or given up: a call that stood still for it goes on."""
        if worker.waits.close(request):
            self.weigh(worker)

    def call_ended(self, worker: Worker, call: int) -> None:
        """A worker has one call less, and it may be that all others wait."""
        worker.waits.forget(call)
        self.weigh(worker)

    def weigh(self, worker: Worker) -> None:
        """See whether a worker lends its cpus from now on, or is to have them back when there is room."""
        lease = worker.lease
        if lease is None:
            return
        if worker.stands_still():
            self._owed.pop(worker.number, None)
            self.room_freed |= lease.lend()
        elif lease.lent is not None:
            self._owed[worker.number] = worker
            self.room_freed = True

    def look_for_the_owed(self) -> None:
        """A call has ended: if somebody is owed cpus, these may be they."""
        if self._owed:
            self.room_freed = True

    def find_room(self) -> bool:
        """Free what is held without need; whether there was anything."""
        return self._tasks.release_idle()

    def use_room(self) -> None:
        """Give out what is free."""
        self.room_freed = False
        for number, worker in list(self._owed.items()):
            # Not to one that has become idle: it might be let go of to find the room that it is to have.
            if (worker.running or worker.actor) and worker.lease is not None:
                worker.lease.take_back(self.find_room)
                if worker.lease.lent is not None:
                    continue  # others are still at work with them
            del self._owed[number]
        for group, error in self._groups.place_waiting(self.find_room):
            self._tasks.fail_spot(group, error)
            self._actors.fail_spot(group, error)
        self._actors.place_waiting()
        self._tasks.serve_all()


def _waiter(worker: Worker, call: int) -> int:
    """The call that stands still: a thread which it has started does not say so, but may be that of the only one."""
    if call in worker.running:
        return call
    return next(iter(worker.running), NO_CALL) if worker.concurrency == 1 else NO_CALL
