"""Actors: from their creation through their restarts to their end, and the calls that wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from executor.errors import (
    ActorDiedError,
    InfeasibleRequestError,
    PendingCallsLimitExceeded,
    TaskCancelledError,
)
from executor.library.calls import Call, Calls
from executor.library.creation import Creation
from executor.library.failures import actor_died, pack_own
from executor.library.ledger import Ledger
from executor.library.messages import CALLS, CREATE, PROCEED
from executor.library.objects import ERROR
from executor.library.plans import ActorPlan
from executor.library.values import Packed
from executor.library.workers import Worker, Workers
from executor.messages import DeathCause

_AHEAD = 64
"""How many calls an actor is sent before it has answered, so that it never waits for the next."""

_CREATION = "its constructor raised"


class State(StrEnum):
    """Where an actor stands."""

    WAITING = "waiting"  # for its arguments, or for room
    STARTING = "starting"
    ALIVE = "alive"
    DEAD = "dead"


class Actor:
    """One actor."""

    __slots__ = (
        "ahead",
        "blocked_callers",
        "calls",
        "creation",
        "error",
        "leaving",
        "number",
        "pending",
        "plan",
        "restarts",
        "restarts_left",
        "state",
        "worker",
    )  # fmt: skip

    def __init__(self, number: int, plan: ActorPlan, creation: Creation) -> None:
        self.number = number
        self.plan = plan
        self.creation = creation
        self.state = State.WAITING
        self.worker: Worker | None = None
        self.calls: deque[Call] = deque()
        self.blocked_callers: dict[int, deque[Call]] = {}
        self.pending = 0
        self.restarts = 0
        self.restarts_left = plan.max_restarts
        self.ahead = max(_AHEAD, 2 * plan.max_concurrency)
        self.leaving = False
        self.error: Packed | None = None

    @property
    def name(self) -> str:
        return self.plan.plan.name


def _no_room() -> bool:
    return False


def _ignore(_: Any) -> None:
    """Until somebody wants to know."""


class Actors:
    """All actors by their numbers, those with a name also by that."""

    def __init__(self, calls: Calls, workers: Workers, ledger: Ledger) -> None:
        self.all: dict[int, Actor] = {}
        self.named: dict[str, int] = {}
        self._calls = calls
        self._objects = calls.objects
        self._workers = workers
        self._ledger = ledger
        self._waiting: deque[Actor] = deque()
        self.find_room: Callable[[], bool] = _no_room
        self.on_more: Callable[[Worker], None] = _ignore
        """Told when a worker of which calls stand still is sent more, which may not."""
        self.on_nameless: Callable[[str], None] = _ignore
        """Told when no actor has a name any more."""
        self.on_dead: Callable[[Actor], None] = _ignore
        """Told of each that has died, and of what by its `error`."""

    # Life.

    def create(self, number: int, plan: ActorPlan, creation: Creation) -> None:
        """A new actor; it is needed once, by whoever created it, and if it is detached also until it dies."""
        actor = self.all[number] = Actor(number, plan, creation)
        entry = self._objects.add(number)
        entry.on_forgotten = lambda: self._forgotten(actor)
        if plan.is_detached:
            self._objects.keep(number)
        for needed in (*creation.values, *creation.inside):
            self._objects.keep(needed)
        if plan.registered_name is not None:
            self.named[plan.registered_name] = number
        self._objects.when_all_settled(creation.values, lambda: self._line_up(actor))

    def adopt(self, number: int, plan: ActorPlan, creation: Creation, worker: Worker) -> None:
        """An actor that is there already, in this worker, which somebody else starts again if it is to be."""
        actor = self.all[number] = Actor(number, plan, creation)
        self._objects.add(number).on_forgotten = lambda: self._forgotten(actor)
        actor.worker, worker.actor, actor.state, actor.restarts_left = worker, actor, State.ALIVE, 0

    def _line_up(self, actor: Actor) -> None:
        if actor.state is State.DEAD:
            return
        for number in actor.creation.values:
            outcome = self._objects.outcome(number)
            if outcome is not None and outcome[0] == ERROR:
                self._die(actor, outcome[1])
                return
        self._waiting.append(actor)
        self.place_waiting()

    def place_waiting(self) -> None:
        """Start the actors for which there is room, in their order."""
        waiting, self._waiting = self._waiting, deque()
        for actor in waiting:
            if actor.state is State.WAITING and not self._start(actor):
                self._waiting.append(actor)  # which is another one if, in the end of an actor, this was called again

    def _start(self, actor: Actor) -> bool:
        """Start an actor's process; False when there is no room."""
        try:
            lease = self._ledger.lease(actor.plan.plan, self.find_room)
        except InfeasibleRequestError as error:
            self._die(actor, pack_own(error))
            return True
        if lease is None:
            return False
        plan = actor.plan
        try:
            worker = self._workers.start(plan.plan.surrounding, lease)
        except OSError as error:
            lease.end()
            cause = DeathCause(killed=f"no worker process could be started: {error}")
            self._die(actor, pack_own(actor_died(actor.name, cause)))
            return True
        worker.spot = plan.plan.spot
        worker.concurrency = plan.max_concurrency
        actor.worker, worker.actor, actor.state = worker, actor, State.STARTING
        creation = actor.creation
        self._workers.define(worker, creation.digest)
        outcomes = map(self._objects.outcome, creation.values)
        values = [outcome[1] for outcome in outcomes if outcome is not None] or None
        options = (actor.number, actor.name, plan.max_concurrency, plan.is_async, plan.restart_hook)
        self._workers.post(worker, (CREATE, creation.digest, creation.arguments, values, options, actor.restarts))
        return True

    def created(self, worker: Worker, kind: int, packed: Packed) -> None:
        """The constructor has returned or raised."""
        actor = worker.actor
        if actor is None or actor.state is not State.STARTING:
            return
        if kind == ERROR:
            self._die(actor, packed)
            self._workers.kill(worker, _CREATION)
            return
        actor.state = State.ALIVE
        self._send(actor)

    def gone(self, worker: Worker, cause: DeathCause) -> None:
        """An actor's process ended."""
        actor = worker.actor
        assert actor is not None
        if worker.lease is not None:
            worker.lease.end()
            worker.lease = None
        running = list(worker.running.values())
        worker.running.clear()
        if actor.worker is not worker:
            return
        actor.worker = None
        restarts = actor.restarts_left != 0 and actor.state is not State.DEAD and not actor.leaving
        if not restarts:
            error = actor.error or pack_own(actor_died(actor.name, cause, where=worker.where))
            for call in running:
                self._fail(call, error)
            self._die(actor, error)
            return
        again = []
        for call in running:
            if call.tries_left:
                self._calls.retry(call)
                again.append(call)
            else:
                more = "; it is started again, but this call may have been under way"
                self._fail(call, pack_own(actor_died(actor.name, cause, more, where=worker.where)))
        if actor.state is State.DEAD:
            return  # those were the last calls of an actor that nobody holds
        actor.calls.extendleft(reversed(again))
        actor.restarts += 1
        actor.restarts_left -= 1
        actor.state = State.WAITING
        self._waiting.append(actor)

    def kill(self, actor: Actor, reason: str, *, restart: bool = False) -> None:
        """End an actor at once; unless it is started again its name is free, whenever its process ends."""
        if actor.state is State.DEAD:
            return
        if not restart:
            actor.restarts_left = 0
            self._free_name(actor)
        if actor.worker is not None:
            actor.leaving = not restart
            self._workers.kill(actor.worker, reason)
        elif not restart:
            self._die(actor, pack_own(actor_died(actor.name, DeathCause(killed=reason))))

    def fail_spot(self, group: int, error: Packed) -> None:
        """A placement group never had any room: the actors that wait for some in it end."""
        for actor in list(self.all.values()):
            spot = actor.plan.plan.spot
            if spot is not None and spot.group == group:
                self._die(actor, error)

    def leave(self, worker: Worker) -> None:
        """An actor ends by its own will."""
        actor = worker.actor
        if actor is not None:
            actor.leaving = True
            actor.restarts_left = 0
            actor.error = pack_own(ActorDiedError(f"actor {actor.name} died: it called exit_actor"))

    def _forgotten(self, actor: Actor) -> None:
        """Nobody has a handle any more: the actor ends once its calls have."""
        if actor.state is State.DEAD:
            self.all.pop(actor.number, None)
            return
        if not actor.pending:
            self._retire(actor)

    def _retire(self, actor: Actor) -> None:
        """End an actor that nobody needs any more."""
        actor.restarts_left = 0
        actor.leaving = True
        self._free_name(actor)
        if actor.worker is not None and actor.state is State.ALIVE:
            self._workers.end(actor.worker)
        else:
            self.kill(actor, "nobody needs it any more")

    def _die(self, actor: Actor, error: Packed) -> None:
        if actor.state is State.DEAD:
            return
        actor.state = State.DEAD
        actor.error = error
        self._free_name(actor)
        held = [call for calls in actor.blocked_callers.values() for call in calls]
        for call in [*actor.calls, *held]:
            self._fail(call, error)
        actor.calls.clear()
        actor.blocked_callers.clear()
        for needed in (*actor.creation.values, *actor.creation.inside):
            self._objects.drop(needed)
        self._objects.free(actor.creation.arguments)
        if actor.plan.is_detached:
            self._objects.drop(actor.number)
        if actor.number not in self._objects.entries:
            self.all.pop(actor.number, None)
        self.on_dead(actor)

    def _free_name(self, actor: Actor) -> None:
        name = actor.plan.registered_name
        if name is not None and self.named.get(name) == actor.number:
            del self.named[name]
            self.on_nameless(name)

    # Calls.

    def submit(self, call: Call) -> None:
        """Have an actor run a call, after those that the same caller has submitted before."""
        actor = self.all.get(call.submission.actor)
        if actor is None or actor.state is State.DEAD or (actor.leaving and actor.number not in self._objects.entries):
            error = actor.error if actor is not None and actor.error else None
            self._calls.fail(call, error or pack_own(ActorDiedError("the actor of this call does not live any more")))
            return
        most = actor.plan.max_pending_calls
        if 0 <= most <= actor.pending:
            text = f"actor {actor.name}: {actor.pending} calls wait for it, and max_pending_calls is {most}"
            self._calls.fail(call, pack_own(PendingCallsLimitExceeded(text)))
            return
        call.actor = actor
        actor.pending += 1
        behind = actor.blocked_callers.get(call.caller) if actor.blocked_callers else None
        if behind is not None:
            behind.append(call)
        elif call.submission.values:
            self._hold(actor, deque([call]))
        else:
            self._admit(actor, call)

    def _hold(self, actor: Actor, calls: deque[Call]) -> None:
        """Wait for the values of a call, with those that its caller has submitted after it, and will."""
        first = calls[0]
        actor.blocked_callers[first.caller] = calls
        self._objects.when_all_settled(first.submission.values, lambda: self._let_in(actor, first))

    def _let_in(self, actor: Actor, first: Call) -> None:
        """A call's values are there, or it was cancelled: let it in, and those behind it as far as theirs are."""
        calls = actor.blocked_callers.get(first.caller)
        if calls is None or calls[0] is not first:
            return
        del actor.blocked_callers[first.caller]
        self._let_one_in(actor, calls.popleft())
        while calls:
            if self._awaits_values(calls[0]):
                self._hold(actor, calls)
                return
            self._let_one_in(actor, calls.popleft())

    def _let_one_in(self, actor: Actor, call: Call) -> None:
        if call.number not in self._calls.open:
            return  # cancelled in the meantime
        failed = self._calls.failed_value(call)
        if failed is not None:
            self.finish(call, *failed)
        else:
            self._admit(actor, call)

    def _awaits_values(self, call: Call) -> bool:
        if call.number not in self._calls.open:
            return False  # it was cancelled, and nobody may need them any more
        return any(self._objects.outcome(number) is None for number in call.submission.values)

    def _admit(self, actor: Actor, call: Call) -> None:
        actor.calls.append(call)
        self._send(actor)

    def _send(self, actor: Actor) -> None:
        """Send an actor its next calls once it has few: many at once cost little more than one."""
        worker = actor.worker
        if worker is None or actor.state is not State.ALIVE or len(worker.running) > actor.ahead // 2:
            return
        messages: list[tuple[Any, ...]] = []
        resumed: list[tuple[int, int]] = []
        calls = actor.calls
        while calls and len(worker.running) < actor.ahead:
            call = calls.popleft()
            submission = call.submission
            if call.number not in self._calls.open:
                continue  # cancelled: nobody has looked for it here
            if submission.values and (failed := self._calls.failed_value(call)) is not None:
                self._end(call, *failed)
                continue
            values = self._calls.values(call) if submission.values else None
            plan = submission.plan
            call.worker = worker
            worker.running[call.number] = call
            if plan.window and call.stream is not None and call.stream.taken:  # it is tried again
                resumed.append((call.number, call.stream.taken))
            messages.append(
                (call.number, submission.method, None, submission.arguments, values, plan.num_returns, plan.window,
                 plan.retry_exceptions if call.tries_left else False, False)
            )  # fmt: skip
        if messages:
            self._workers.post(worker, (CALLS, messages))
            for number, taken in resumed:
                self._workers.post(worker, (PROCEED, number, taken))
            if worker.waits.calls:
                self.on_more(worker)

    def again(self, call: Call) -> None:
        """Run a call once more, as it asked for when it raised."""
        self._calls.retry(call)
        assert call.actor is not None
        self._admit(call.actor, call)

    def finish(self, call: Call, kind: int, packed: Any) -> None:
        """A call of an actor has ended."""
        self._end(call, kind, packed)
        if call.actor is not None and call.actor.calls:
            self._send(call.actor)

    def _end(self, call: Call, kind: int, packed: Any) -> None:
        if call.number not in self._calls.open:
            return  # it was cancelled while it waited here, and is counted no longer
        self._calls.end(call, kind, packed)
        actor = call.actor
        if actor is not None:
            actor.pending -= 1
            if not actor.pending and not self._is_needed(actor) and actor.state is not State.DEAD:
                self._retire(actor)

    def _is_needed(self, actor: Actor) -> bool:
        return actor.number in self._objects.entries

    def _fail(self, call: Call, error: Packed) -> None:
        if call.cancelled:
            error = pack_own(TaskCancelledError(f"{call.plan.name} was cancelled"))
        self.finish(call, ERROR, error)

    def cancel(self, call: Call) -> bool:
        """Take a call back that the actor has not been sent yet; whether that could be."""
        if call.worker is not None:
            return False
        actor = call.actor
        self.finish(call, ERROR, pack_own(TaskCancelledError(f"{call.plan.name} was cancelled before it began")))
        if actor is not None:
            self._let_in(actor, call)  # what it waited for may be forgotten with it, and never come
        return True
