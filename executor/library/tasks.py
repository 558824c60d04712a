"""Tasks: which worker runs which call next.

Calls that need the same wait in one line. A worker gets one call at a time, or, where calls have been seen to take next
to no time, several at once: then sending them costs less than running them. What turns out to be stuck behind a call
that takes its time, or that waits for others, is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from executor.errors import ExecutorError, InfeasibleRequestError, TaskCancelledError
from executor.library.calls import Call, Calls
from executor.library.failures import crashed, pack_own
from executor.library.groups import Groups
from executor.library.ledger import Lease, Ledger
from executor.library.lines import Line, Lines
from executor.library.messages import CALLS, PROCEED, RECALL
from executor.library.plans import Plan
from executor.library.workers import Worker, Workers
from executor.messages import DeathCause

_STUCK_S = 0.02
_KEPT_S = 1.0


class Tasks:
    """The lines of tasks. `find_room` is asked to free what others hold without need."""

    def __init__(
        self, calls: Calls, workers: Workers, ledger: Ledger, groups: Groups, find_room: Callable[[], bool]
    ) -> None:
        self._groups = groups
        self._calls = calls
        self._workers = workers
        self._ledger = ledger
        self._find_room = find_room
        self._lines = Lines()
        self._line_of_worker: dict[int, Line] = {}
        self._left_nodes: set[str] = set()
        self.crowded = False
        """Whether a worker may have calls that it has not begun."""

    def submit(self, call: Call) -> None:
        """Have a call run once its values are there."""
        values = call.submission.values
        if values:
            self._calls.objects.when_all_settled(values, lambda: self._line_up(call))
        else:
            self._line_up(call)

    def _line_up(self, call: Call) -> None:
        if call.number not in self._calls.open:
            return  # cancelled in the meantime
        if call.submission.values and (failed := self._calls.failed_value(call)) is not None:
            self._calls.end(call, *failed)
            return
        spot = call.plan.spot
        if spot is not None and self._groups.is_gone(spot.group):
            self._calls.fail(call, pack_own(ExecutorError("the placement group was removed")))
            return
        line = self._line(call.plan)
        line.add(call)
        self.serve(line)

    def _line(self, plan: Plan) -> Line:
        line = self._lines.find(plan)
        if line is None:
            line = self._lines.add(plan)
            if plan.crew is not None:
                self._band(line, plan.crew.number)
        return line

    def _band(self, line: Line, number: int) -> None:
        """Have a crew's workers leave once nobody needs the crew."""
        entry = self._calls.objects.entries.get(number)
        if entry is None:
            line.disbanded = True
        else:
            entry.on_forgotten = lambda: self.disband(number)

    def disband(self, number: int) -> None:
        """Have a crew's workers leave, those that run something once they have."""
        for line in list(self._lines):
            if line.plan.crew is not None and line.plan.crew.number == number:
                line.disbanded = True
                while line.idle:
                    self._let_go(line, line.idle.pop())
                if not line.workers and not len(line):
                    self._lines.forget(line)

    def _rest(self, line: Line, worker: Worker) -> None:
        """A worker has nothing to do."""
        if self._leaves(worker):
            self._let_go(line, worker, warm=False)
        elif line.disbanded:
            self._let_go(line, worker)
            self.disband(line.plan.crew.number if line.plan.crew else 0)
        else:
            worker.idle_since = time.monotonic()
            line.idle.append(worker)

    def serve_all(self) -> None:
        """Room was freed: see what can run now."""
        for line in list(self._lines):
            if len(line):
                self.serve(line)

    def serve(self, line: Line) -> None:
        """Give the line's calls to workers, as far as there are any."""
        ahead = line.ahead()
        while len(line):
            worker = line.idle.pop() if line.idle else self._one_more(line)
            if worker is None:
                break
            self._give(line, worker, min(ahead, 1 + len(line) // (2 * len(line.workers))))
        if ahead > 1 and len(line):
            for worker in line.workers.values():
                has = len(worker.running)
                if has <= ahead // 2 and not worker.waits.calls and not worker.stuck and not self._leaves(worker):
                    self._give(line, worker, ahead - has)
                    if not len(line):
                        return

    def _one_more(self, line: Line) -> Worker | None:
        plan = line.plan
        if len(line.workers) >= line.most_workers and (plan.crew is not None or self._work(line) >= line.most_workers):
            return None
        try:
            lease = self._ledger.lease(plan, self._find_room)
        except InfeasibleRequestError as error:
            while len(line):
                self._calls.fail(line.next(), pack_own(error))
            return None
        if lease is None:
            return None
        try:
            worker = self._workers.open(plan.surrounding, lease)
        except OSError as error:
            lease.end()
            cause = DeathCause(killed=f"no worker process could be started: {error}")
            self._calls.fail(line.next(), pack_own(crashed(plan.name, cause)))
            return None
        worker.spot = plan.spot
        worker.calls_left = plan.max_calls
        line.workers[worker.number] = worker
        self._line_of_worker[worker.number] = line
        return worker

    def _work(self, line: Line) -> int:
        """How many of the line's workers do not wait for other calls, which may be in this very line."""
        return sum(not worker.waits.calls for worker in line.workers.values())

    def _give(self, line: Line, worker: Worker, count: int) -> None:
        """Send a worker the next calls of the line."""
        messages: list[tuple[Any, ...]] = []
        taken: list[tuple[Any, ...]] = []
        if worker.calls_left:
            count = min(count, worker.calls_left - len(worker.running))
        while len(line) and len(messages) < count:
            call = line.next()
            submission = call.submission
            assert submission.digest is not None
            if submission.digest not in worker.known:
                self._workers.define(worker, submission.digest)
            values = self._calls.values(call) if submission.values else None
            plan = call.plan
            call.worker = worker
            worker.running[call.number] = call
            messages.append(
                (call.number, None, submission.digest, submission.arguments, values, plan.num_returns, plan.window,
                 plan.retry_exceptions if call.tries_left else False, call.tries_left > 0)
            )  # fmt: skip
            if call.stream is not None and call.stream.taken and plan.window:
                taken.append((PROCEED, call.number, call.stream.taken))  # in an earlier try
        if messages:
            if len(worker.running) == len(messages):
                worker.heard_at = time.monotonic()
            if len(worker.running) > 1:
                self.crowded = True
            self._workers.post(worker, (CALLS, messages))
            for message in taken:
                self._workers.post(worker, message)
        elif not worker.running:
            self._rest(line, worker)

    def ended(self, worker: Worker, seconds: float) -> None:
        """A worker has ended one of its calls."""
        line = self._line_of_worker[worker.number]
        worker.stuck = False
        if worker.running:
            worker.heard_at = time.monotonic()
        line.seconds += (seconds - line.seconds) * (0.5 if seconds > line.seconds else 0.2)
        has = len(worker.running)
        if has and (first := next(iter(worker.running.values()))).forced:
            self.end_by_force(worker, first)
            return
        if worker.calls_left:
            worker.calls_left -= 1
            if not worker.calls_left:
                self._retire(line, worker)
                return
        leaves = self._leaves(worker)
        if not has and (leaves or (worker.lease is not None and worker.lease.lent is not None)):
            self._let_go(line, worker, warm=not leaves)  # others have its cpus by now, or nobody is to have them
            self.serve(line)
            return
        if leaves or not len(line):
            if not has:
                self._rest(line, worker)
            return
        ahead = line.ahead()
        if has <= ahead // 2 and not worker.waits.calls:
            self._give(line, worker, min(ahead - has, 1 + len(line) // (2 * len(line.workers))))

    def leave_node(self, node: str) -> None:
        """A node is to be emptied: its workers leave, those that run something once they have.

        But for those in a placement group, whose room is there all the same.
        """
        self._left_nodes.add(node)
        for line in list(self._lines):
            for worker in list(line.workers.values()):
                if not self._leaves(worker):
                    continue
                if worker in line.idle:
                    line.idle.remove(worker)
                    self._let_go(line, worker, warm=False)
                else:
                    self.recall_behind(worker)

    def _leaves(self, worker: Worker) -> bool:
        return worker.node in self._left_nodes and worker.spot is None

    def runs(self, worker: Worker) -> bool:
        """Whether this worker is one of ours."""
        return worker.number in self._line_of_worker

    def take_back(self, worker: Worker, numbers: list[int]) -> None:
        """A worker gives back calls that it has not begun."""
        line = self._line_of_worker[worker.number]
        for number in reversed(numbers):
            call = worker.running.pop(number, None)
            if call is not None and call.number in self._calls.open:
                self._stand_again(line, call)
        if not worker.running and worker not in line.idle:
            # It gave back even the first, as one does that was slow to start: nothing else would tell that it is idle.
            worker.stuck = False
            self._rest(line, worker)
        self.serve(line)

    def again(self, call: Call) -> None:
        """Run a call once more."""
        self._calls.retry(call)
        self._line_up(call)

    def recall_behind(self, worker: Worker) -> None:
        """A worker's call waits for others: those behind it are not to wait for it."""
        if len(worker.running) > 1:
            worker.link.nudge(RECALL)

    def recall_stuck(self, now: float) -> float | None:
        """Ask for what is stuck behind a call that takes its time; when to look again."""
        if not self.crowded:
            return None
        self.crowded = False
        for line in self._lines:
            for worker in line.workers.values():
                if len(worker.running) > 1:
                    self.crowded = True
                    if worker.heard_at + _STUCK_S <= now:
                        line.seconds = max(line.seconds, _STUCK_S)
                        worker.heard_at = now
                        worker.stuck = True
                        worker.link.nudge(RECALL)
        return _STUCK_S if self.crowded else None

    def cancel(self, call: Call) -> bool:
        """Take a call out of its line; whether it stood there."""
        line = self._line(call.plan)
        if call.worker is not None:
            return False
        line.remove(call)
        self._fail_cancelled(call)
        return True

    def _fail_cancelled(self, call: Call) -> None:
        self._calls.fail(call, pack_own(TaskCancelledError(f"task {call.plan.name} was cancelled before it began")))

    def _stand_again(self, line: Line, call: Call) -> None:
        """A worker that was given the call has not begun it."""
        call.worker = None
        if call.cancelled:  # which that worker was told, and the next one would not be
            self._fail_cancelled(call)
        else:
            line.add(call, again=True)

    def end_by_force(self, worker: Worker, call: Call) -> None:
        """End a call with its process; one that the process has not begun comes back instead."""
        if next(iter(worker.running)) == call.number:
            self._workers.kill(worker, "it was cancelled")
        else:
            call.forced = True  # should it have been begun by now, which is told when the one before it ends
            worker.link.nudge(call.number)
            worker.link.nudge(RECALL)

    def release_idle(self) -> bool:
        """Give back what an idle worker holds; whether there was one."""
        for line in self._lines:
            if line.idle and (line.plan.resources or line.plan.crew is None):  # else nothing would be gained
                self._let_go(line, line.idle.pop())
                return True
        return False

    def return_idle(self, now: float) -> float | None:
        """Give back what workers have held without need for a while; how long until the next of it is due."""
        due: float | None = None
        for line in self._lines:
            while line.plan.crew is None and line.idle:
                left_s = line.idle[0].idle_since + _KEPT_S - now
                if left_s > 0:
                    due = left_s if due is None else min(due, left_s)
                    break
                self._let_go(line, line.idle.pop(0))
        return due

    def _let_go(self, line: Line, worker: Worker, *, warm: bool = True) -> None:
        del line.workers[worker.number]
        del self._line_of_worker[worker.number]
        lease, worker.lease = worker.lease, None
        if lease is not None:
            lease.end()
        set_up = line.plan.surrounding.initializer is not None
        if not warm or set_up or (lease is not None and lease.devices):
            self._workers.end(worker)  # it has run its calls, was set up for them, or its libraries have seen the gpus
        else:
            self._workers.keep_warm(worker)

    def _retire(self, line: Line, worker: Worker) -> None:
        """A worker has run as many calls as it may."""
        self._let_go(line, worker, warm=False)
        self.serve(line)

    def idle_leases(self) -> list[Lease]:
        """What idle workers hold, which is free for all who ask."""
        return [w.lease for line in self._lines for w in line.idle if w.lease is not None]

    def gone(self, worker: Worker, cause: DeathCause) -> None:
        """A worker's process ended: its calls run again where they may, and end with the cause where not."""
        line = self._line_of_worker.pop(worker.number)
        del line.workers[worker.number]
        if worker in line.idle:
            line.idle.remove(worker)
        if worker.lease is not None:
            worker.lease.end()
            worker.lease = None
        running = list(worker.running.values())
        worker.running.clear()
        for call in reversed(running[1:]):  # not begun
            self._stand_again(line, call)
        for call in running[:1]:
            if call.cancelled:
                error = TaskCancelledError(f"task {call.plan.name} was cancelled")
                self._calls.fail(call, pack_own(error))
            elif call.tries_left and getattr(cause, "memory", None) is None:
                self.again(call)
            else:
                self._calls.fail(call, pack_own(crashed(call.plan.name, cause, worker.where)))

    def fail_spot(self, group: int, error: Any) -> None:
        """A placement group is gone: calls that wait for room in it end, and idle workers in it leave."""
        for line in list(self._lines):
            if line.plan.spot is not None and line.plan.spot.group == group:
                while len(line):
                    self._calls.fail(line.next(), error)
                while line.idle:
                    self._let_go(line, line.idle.pop())

    def waiting(self) -> list[tuple[Plan, int]]:
        """How many calls wait, by what they need."""
        return [(line.plan, len(line)) for line in self._lines if len(line)]
