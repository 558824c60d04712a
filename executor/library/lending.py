"""Who lends cpus while it waits, who is owed some, and who may use what was freed."""

from __future__ import annotations

from executor.library.actors import Actors
from executor.library.groups import Groups
from executor.library.tasks import Tasks
from executor.library.workers import Worker


class Lending:
    """Notes that room was freed, and gives it out in turn: to whom it was lent by, to groups, actors and tasks."""

    def __init__(self, tasks: Tasks, actors: Actors, groups: Groups) -> None:
        self._tasks = tasks
        self._actors = actors
        self._groups = groups
        self._owed: list[Worker] = []
        self.room_freed = False
        """Whether anything was freed that nobody has been asked for yet."""

    def block(self, worker: Worker) -> None:
        """A worker stands still until others have done something: they may have its cpus."""
        worker.blocked += 1
        if worker.blocked == 1 and worker.lease is not None:
            if self._tasks.runs(worker):
                self._tasks.blocked(worker)
                self.room_freed = True
            elif worker.actor is not None and min(len(worker.running), worker.actor.plan.max_concurrency) <= 1:
                worker.lease.area.lend(worker.lease)
                self.room_freed = True

    def unblock(self, worker: Worker) -> None:
        """A worker goes on: it is to have its cpus back when there is room."""
        worker.blocked -= 1
        if not worker.blocked and worker.lease is not None and worker.lease.lent is not None:
            self._owed.append(worker)
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
        for worker in self._owed:
            # Not one that has become idle meanwhile: it might be let go of to find the room that it is to have.
            if (worker.running or worker.actor) and not worker.blocked and worker.lease is not None:
                worker.lease.area.take_back(worker.lease, self.find_room)
        self._owed = [
            w for w in self._owed if (w.running or w.actor) and w.lease is not None and w.lease.lent is not None
        ]
        self._groups.place_waiting(self.find_room)
        self._actors.place_waiting()
        self._tasks.serve_all()
